"""Learn leverage on perpetual futures."""
