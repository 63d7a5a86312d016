"""Names of the models and the columns of their tables."""

PANEL = "panel"  # never fitted on the contract
HOME = "panel_home"  # its own past rows joined those of the pool
EWMA = "ewma_plain"  # nothing is fitted
RESCALED = "_rescaled"  # corrected by the mean ratio of target and forecast in the past
POOLED = "pooled"
HAR = ("har", f"har{RESCALED}")
RIDGES = ("ridge", f"ridge{RESCALED}", "ridge_panel", f"ridge_panel{RESCALED}")
ENDS = ("_lower", "_upper", "_tercile")  # of the intervals of a model
