"""What a profile says, as plain data, and the roofline of the machine that it is compared with."""
