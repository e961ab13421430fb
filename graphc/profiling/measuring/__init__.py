"""Steps timed kernel by kernel, fused beside unfused."""
