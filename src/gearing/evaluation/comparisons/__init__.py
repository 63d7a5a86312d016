"""A policy compared with fixed leverage, with its leverage shifted in time, and under other conditions."""
