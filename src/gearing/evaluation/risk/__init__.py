"""Leverage and the risk of ruin: safest leverage, budget checks, touch probabilities as columns."""
