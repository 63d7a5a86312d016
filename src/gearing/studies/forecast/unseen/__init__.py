"""Forecasts of contracts that no model was fitted on."""
