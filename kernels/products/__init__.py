"""Contractions: shapes, tilings and their cost, operands, microkernels, source of tiles."""
