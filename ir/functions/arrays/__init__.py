"""Arrays cut, joined, filled, reshaped and indexed."""
