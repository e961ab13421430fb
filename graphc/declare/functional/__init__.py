"""What is made of functions: loops, derivatives, ops of the user's own."""
