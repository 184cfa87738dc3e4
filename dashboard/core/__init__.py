"""Provide the foundations: configuration, database, encryption, logging."""
