"""Configuration, database, encryption and logging: what knows nothing of the product."""
