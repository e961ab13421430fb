"""What JAX is measured by: its steps, losses and predictions."""
