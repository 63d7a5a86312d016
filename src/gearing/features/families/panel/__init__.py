"""Columns of the panel forecaster: a contract relative to its own month, and the contracts around it."""

from gearing.features.families.panel import market, own  # noqa: F401  the families register themselves
