"""What Numba makes of kernel source: its primitives, its target, and the machine code."""
