"""Which territories take a record by rule, along the tree (A1, A2): one port, several engines."""
