"""Sums each territory's deals and compares them with its target."""
