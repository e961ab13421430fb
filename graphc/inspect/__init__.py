"""What a program is at each stage, why, and where its NaN come from."""
