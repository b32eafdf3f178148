"""Keeps a DuckDB file that has what territory.attainments.v1 says, and how it was at the end of each day."""
