"""Volatility forecasters compared out of sample."""
