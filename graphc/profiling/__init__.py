"""What a profile is made of: measuring, the machine's roofline, and ways to show both."""
