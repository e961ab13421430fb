"""Coefficients and limits of the vector math, and how they were found."""
