"""What nodes are to kernels, where values stand in memory, and the loops that nodes share."""
