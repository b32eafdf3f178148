"""The commands of `territory`, a file for each group: parse, call one use case, hand the result to a view."""
