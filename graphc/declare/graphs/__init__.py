"""The graph that a user declares, and the values of its states."""
