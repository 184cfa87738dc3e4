"""Hold what knows nothing of the product: configuration, database, encryption, logging."""
