"""Measurements of the whole: `make bench`. Not part of the application, nor of its tests."""
