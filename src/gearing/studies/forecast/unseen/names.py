"""Names of the models and the columns of their tables."""

PANEL = "panel"  # never fitted on the contract
HOME = "panel_home"  # its own past rows joined those of the pool
WEIGHTED = "panel_weighted"  # both, weighted online by their past losses
EWMA = "ewma_plain"  # nothing is fitted
RESCALED = "_rescaled"  # corrected by the mean ratio of target and forecast in the past
POOLED = "pooled"
HAR = ("har", f"har{RESCALED}")
# Ridge on a contract's own past: the recipe of studies, the contract's own columns of the panel, all of the panel's.
RIDGES = tuple(f"{name}{end}" for name in ("ridge", "ridge_own", "ridge_panel") for end in ("", RESCALED))
ENDS = ("_lower", "_upper", "_tercile")  # of the intervals of a model
