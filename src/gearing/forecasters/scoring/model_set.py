"""The Model Confidence Set: forecasters not significantly worse than the best."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray


def model_confidence_set(
    losses: Mapping[str, NDArray[np.float64]],
    size: float = 0.10,
    block: int = 10,
    replications: int = 1_000,
    seed: int = 0,
) -> dict[str, float]:
    """P-value of every model (Hansen, Lunde and Nason, 2011); those of ``size`` or more stay in the set.

    Parameters
    ----------
    losses : mapping of name to (n_rows,)
        Losses of the same rows in order of time.
    block : int
        Mean length of the stationary bootstrap's blocks, in rows.
    """
    import pandas as pd
    from arch.bootstrap import MCS

    if len(losses) < 2:
        return dict.fromkeys(losses, 1.0)
    table = pd.DataFrame({name: np.asarray(loss) for name, loss in losses.items()})
    test = MCS(table, size=size, reps=replications, block_size=block, bootstrap="stationary", seed=seed)
    test.compute()
    return {str(name): float(p) for name, p in test.pvalues["Pvalue"].items()}
