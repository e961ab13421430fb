"""The text form of programs and of graphs, and its inverse."""
