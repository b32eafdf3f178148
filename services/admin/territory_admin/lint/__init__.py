"""Checks the rules of a model: cost, contradictions and coverage."""
