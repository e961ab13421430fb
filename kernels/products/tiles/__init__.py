"""The statements of contractions: tasks, panels and tiles around a microkernel."""
