"""What a model is declared as, and what an optimizer makes of it."""
