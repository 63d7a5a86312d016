"""Where history comes from: the public archive, exchanges' interfaces, files of other programs."""
