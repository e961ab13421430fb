"""What callers give, checked where it comes in."""
