"""What a contraction's kernel does with its results: tiles, whole rows, blocks of rows."""
