"""The inputs of a decision: bars, funding and the moment."""
