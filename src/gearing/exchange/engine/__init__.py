"""Compilation of the kernel, and batches of accounts."""
