"""Store OAuth token pairs encrypted, and refresh each pair in one process at a time."""
