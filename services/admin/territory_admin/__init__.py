"""Use cases for administrators, without printing: the command line and other front ends call them."""
