"""Weights of layers as PyTorch and Keras lay them out."""
