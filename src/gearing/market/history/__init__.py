"""Real history: the folder layout, reading, assembling and checking its series."""
