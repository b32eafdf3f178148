"""Checks of the pages: what they name exists. They break on wording, so they are a ring of their own."""
