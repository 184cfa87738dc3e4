"""Turn errors into responses and texts."""
