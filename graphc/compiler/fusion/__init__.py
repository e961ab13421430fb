"""Which nodes share a kernel, and what a kernel computes on the way: prologues, epilogues."""
