"""Estimators of variance, one per file."""
