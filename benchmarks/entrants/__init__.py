"""The matching engines that P1 lets run beside each other, ours and others'."""
