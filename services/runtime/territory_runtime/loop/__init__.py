"""The loop that runs every stage: partition tasks, batches, checkpoints and restores."""
