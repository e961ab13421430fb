"""Arrays, texts and iterables that a model is trained on, and the batches made of them."""
