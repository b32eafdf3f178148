"""The commands of `territory`, one file a group."""
