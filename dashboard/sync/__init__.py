"""Fetch everyone's settings in the background: runs, their slices, periodic tasks, the worker."""
