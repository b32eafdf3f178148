"""Attainments and deal lists in Redis."""
