"""Sales reports over the deals on the topics: pure definitions, and `run.py`, which reads their input."""
