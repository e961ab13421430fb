"""From fused groups to machine code."""
