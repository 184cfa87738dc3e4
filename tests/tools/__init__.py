"""Check translations and find strings that cannot be translated."""
