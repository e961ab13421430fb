"""Convolution, pooling and what else looks at neighbours in space."""
