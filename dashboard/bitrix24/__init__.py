"""Call Bitrix24 and parse its responses and posts; store nothing."""
