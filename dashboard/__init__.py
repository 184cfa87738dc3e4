"""Everyone's Bitrix24 calendar settings, side by side, in a frame inside the portal."""
