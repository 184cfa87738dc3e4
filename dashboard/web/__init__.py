"""Serve HTTP requests: pages, exports, Bitrix24's calls, health checks."""
