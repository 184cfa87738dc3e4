"""Prepare what templates print."""
