"""First stage: sums of the deals of one partition."""
