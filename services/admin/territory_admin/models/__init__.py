"""Validates, compares and activates models."""
