"""Configuration, database, encryption, logging and other foundations."""
