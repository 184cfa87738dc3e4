"""Define the application's version."""

VERSION = "0.1.0"
