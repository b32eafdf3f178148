"""Chaos: two workers of every service on real servers that fail; the end state must equal the oracle's."""
