"""Ops that go along lines in order: cumulative sums and products, sorting."""
