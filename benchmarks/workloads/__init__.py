"""The training steps that benchmarks measure."""
