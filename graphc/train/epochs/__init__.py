"""The training loop: epochs of steps, and what is measured in them."""
