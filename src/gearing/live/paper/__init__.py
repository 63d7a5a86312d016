"""A paper account: a bundle decides, the simulator fills, a journal holds everything."""
