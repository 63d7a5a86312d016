"""Files: written in one step, memory-mapped arrays, digests."""
