"""What the machine and the environment say: settings, the width of vectors, forks."""
