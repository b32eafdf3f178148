"""Warns about rules that are expensive, impossible or empty; none of it changes what a rule decides."""
