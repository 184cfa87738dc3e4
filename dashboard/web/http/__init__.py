"""Handle what every request passes through: hooks, headers, static files, templates."""
