"""Derivatives: reverse and forward mode, Jacobians, gradients of samples."""
