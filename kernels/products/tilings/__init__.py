"""How contractions are cut in tiles: what a tiling costs, and which one is chosen."""
