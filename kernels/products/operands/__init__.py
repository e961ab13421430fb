"""What the tiles of a contraction read: in place, packed, gathered, computed, or windows."""
