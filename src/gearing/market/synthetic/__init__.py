"""Synthetic markets: market A, market B, block bootstrap, crashes; stylised facts of any market."""
