"""Kernels in order, shared among threads, with an arena for what they hand on."""
