"""Prepare the values and texts that templates print."""
