"""Files: atomic writes, memory-mapped arrays, digests."""
