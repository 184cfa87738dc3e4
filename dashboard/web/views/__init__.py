"""Answer the application's addresses, one module a page."""
