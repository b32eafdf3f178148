"""First stage: merges record changes to whole records and routes them to their family."""
