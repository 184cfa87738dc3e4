"""Everything Bitrix24 speaks, and nothing we store."""
