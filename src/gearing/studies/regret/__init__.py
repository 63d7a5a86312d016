"""Regret of agents to a known optimum."""
