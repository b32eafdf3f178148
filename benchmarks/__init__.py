"""What is claimed of speed, measured beside a baseline in the same run."""
