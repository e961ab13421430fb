"""The rewriting driver and its rules."""
