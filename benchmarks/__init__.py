"""Benchmarks: each claim about speed, measured beside a baseline in the same run."""
