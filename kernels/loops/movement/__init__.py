"""Kernels that copy regions, and slices that indices choose."""
