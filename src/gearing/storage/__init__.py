"""Files: atomic writes, locks, memory-mapped arrays."""
