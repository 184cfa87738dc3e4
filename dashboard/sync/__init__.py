"""Read everyone's settings in the background: runs, their slices, the worker."""
