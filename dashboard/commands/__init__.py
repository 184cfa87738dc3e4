"""What an operator types: each module one group of commands."""
