"""Compares Redis with what the topics imply, repairs differences, and rebuilds the index."""
