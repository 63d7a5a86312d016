"""The best leverage of markets with known parameters."""
