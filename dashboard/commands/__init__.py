"""Define the operator's commands, one module per group."""
