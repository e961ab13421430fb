"""Whole programs: checked, lowered, cut, batched, turned to inference."""
