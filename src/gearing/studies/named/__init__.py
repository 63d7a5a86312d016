"""Policies by name: rules, classes and objects of a user's own, models of stable-baselines3."""
