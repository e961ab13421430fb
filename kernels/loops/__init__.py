"""Loops as data, the emitters of loop groups and movements, and kernel source."""
