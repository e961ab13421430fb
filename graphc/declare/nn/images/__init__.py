"""Layers of images: convolution, pooling, resizing, augmentation."""
