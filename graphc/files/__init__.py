"""Files that appear whole or not at all, and the values of states in them."""
