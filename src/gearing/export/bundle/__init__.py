"""The files of a bundle: what they hold, how they are checked, and their networks."""
