"""What is shown while something takes long, on a terminal and in a notebook."""
