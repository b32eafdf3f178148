"""Rule matching: the territories that a record qualifies for. One port, three engines with the same answers."""
