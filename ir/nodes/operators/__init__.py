"""What makes a node behave as an array: its operators and methods."""
