"""Define the views, one module per page."""
