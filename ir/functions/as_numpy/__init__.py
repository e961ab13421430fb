"""Functions as numpy has them, and those that operators, methods and numpy's own functions call."""
