"""Faces of the Simulator: Gymnasium, Gymnasium vector, stable-baselines3; registration of the ids."""
