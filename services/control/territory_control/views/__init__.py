"""Views: the results of use cases as text for a terminal."""
