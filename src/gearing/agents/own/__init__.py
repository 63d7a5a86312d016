"""Policies that were made elsewhere: stable-baselines3 models, torch modules, functions."""
