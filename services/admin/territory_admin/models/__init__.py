"""Validates models, applies them, and reads the model topic."""
