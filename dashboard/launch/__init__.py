"""Handle what Bitrix24 posts: installations, openings and events.

An opening is Bitrix24's POST when a user starts the app.
"""
