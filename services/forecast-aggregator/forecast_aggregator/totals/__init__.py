"""Second stage: attainments from the partial sums of all partitions."""
