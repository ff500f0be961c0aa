"""Arithmetic that the networks are made of."""
