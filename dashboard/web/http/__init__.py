"""Wrap every request: hooks, headers, static files, templates."""
