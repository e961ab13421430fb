"""Compiled functions: from arrays of the user to a run and back."""
