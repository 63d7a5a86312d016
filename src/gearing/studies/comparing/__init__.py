"""Comparing finished studies, from their folders, from Python objects and from tracked runs."""
