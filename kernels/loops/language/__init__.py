"""Loops as data, the values in them, and the source that is printed of them."""
