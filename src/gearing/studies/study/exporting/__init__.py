"""Exporting the policies of a study."""
