"""Environments on the Simulator: Gymnasium, Gymnasium vector and stable-baselines3."""
