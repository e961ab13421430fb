"""What vector math is made of: primitives, sums with their errors, polynomials."""
