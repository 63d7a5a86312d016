"""Learned policies: networks, scaling, no-trade bands."""
