"""The functions of the vector math, by kind."""
