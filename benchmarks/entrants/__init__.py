"""The matching engines that P1 compares, ours and others'."""
