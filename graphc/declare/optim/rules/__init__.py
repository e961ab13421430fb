"""The rules of update: what an optimizer makes of a gradient."""
