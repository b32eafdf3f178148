"""Keeps in Redis who sees what."""
