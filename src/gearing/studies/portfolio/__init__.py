"""Policies of one account over many contracts, scaled to a drawdown budget and judged at equal realised risk."""
