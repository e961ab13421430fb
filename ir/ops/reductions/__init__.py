"""Ops that combine the elements along some axes."""
