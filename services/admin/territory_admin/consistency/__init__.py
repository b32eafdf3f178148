"""Compares Redis with what the log implies, repairs it and rebuilds it."""
