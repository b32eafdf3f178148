"""Generates `schemas/json`: the contracts in formats that other tools read. A development tool, not shipped."""
