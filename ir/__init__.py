"""The graph language."""
