"""Learned books on synthetic markets whose growth-optimal book is known, by years of history."""
