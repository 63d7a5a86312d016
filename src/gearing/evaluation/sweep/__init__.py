"""Parameters of a rule searched walk-forward."""
