"""Keeps how each territory stands against its target."""
