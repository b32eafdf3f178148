"""What a model would change, worked out from the log; nobody is affected."""
