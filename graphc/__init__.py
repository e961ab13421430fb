"""graphc."""
