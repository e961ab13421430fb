"""Loops around bodies, and what is made of them: strips, tiles, stages, blocks, passes."""
