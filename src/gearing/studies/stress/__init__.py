"""Policies in generated crashes."""
