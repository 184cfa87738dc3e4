"""Turn Bitrix24's raw settings into typed values; pure, nothing is stored or sent."""
