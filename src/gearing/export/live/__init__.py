"""A bundle over time: states and limits outside the model, an append-only log, and its replay."""
