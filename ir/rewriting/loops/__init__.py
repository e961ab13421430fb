"""Loops rewritten: fewer, with less in each step, and with products outside of them."""
