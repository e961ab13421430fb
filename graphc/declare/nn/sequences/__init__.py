"""Layers of sequences: recurrence, attention, positions, generation."""
