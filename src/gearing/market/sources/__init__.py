"""Sources of history: the public archive, exchange APIs, files of other programs."""
