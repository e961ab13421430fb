"""Ops of one scalar expression that is applied everywhere."""
