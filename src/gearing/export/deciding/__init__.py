"""Decisions: targets, orders and exact numbers."""
