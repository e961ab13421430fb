"""What fusion makes of nodes, and the kernel of a contraction group."""
