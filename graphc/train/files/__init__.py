"""What a model's file holds besides values."""
