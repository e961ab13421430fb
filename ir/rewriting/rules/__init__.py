"""The rules, by subject. Each function's docstring begins with its equation."""
