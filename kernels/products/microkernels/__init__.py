"""The microkernels of products and what feeds them: copied, transposed and windowed operands."""
