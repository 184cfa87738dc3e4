"""Our HTTP, and nothing else."""
