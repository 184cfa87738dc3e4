"""Handle what Bitrix24 posts: installations, openings and events."""
