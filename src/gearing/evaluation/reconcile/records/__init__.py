"""Records of the venues: their fields, what is done with each, and the lines that the replay reads."""
