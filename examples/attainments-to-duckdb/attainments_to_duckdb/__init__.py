"""Copies territory.attainments.v1 to a DuckDB file, with the figures of each day's end."""
