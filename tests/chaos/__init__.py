"""Chaos: two workers of every service on real servers that fail, and an end state that must be the oracle's."""
