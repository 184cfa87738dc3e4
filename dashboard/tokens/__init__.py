"""Store OAuth token pairs encrypted and refresh them once among many."""
