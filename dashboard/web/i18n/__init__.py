"""Translate the interface."""
