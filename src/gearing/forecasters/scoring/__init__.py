"""Scores of variance and probability forecasts, intervals, model confidence set."""
