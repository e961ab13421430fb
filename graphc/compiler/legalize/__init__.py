"""Programs brought to the form that kernels compute: copies, blocks, windows, constants."""
