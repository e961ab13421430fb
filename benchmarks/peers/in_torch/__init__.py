"""What torch is measured by: its steps, losses and predictions."""
