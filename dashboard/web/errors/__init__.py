"""Turn errors into responses and words."""
