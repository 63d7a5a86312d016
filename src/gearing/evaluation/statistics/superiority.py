"""Many policies against one benchmark, or against each other, on daily log growth.

The tests are those of the arch library. Choosing the best of many needs a test that corrects for it:
Hansen's test of superior predictive ability, its stepwise version (Romano and Wolf), and the model
confidence set (Hansen, Lunde and Nason).
"""

import pandas as pd


def superior_ability(
    benchmark: pd.Series, policies: pd.DataFrame, *, seed: int, mean_block: int = 20, replications: int = 1000
) -> float:
    """P-value of "no policy grows faster than the benchmark" (SPA, consistent version; Hansen, 2005).

    Parameters
    ----------
    benchmark : Series, shape (n_days,)
        Daily log growth.
    policies : DataFrame, shape (n_days, n_policies)
        Daily log growth on the same days.
    mean_block : int
        Mean block of the stationary bootstrap [days].
    """
    from arch.bootstrap import SPA

    _check_days(benchmark, policies)
    test = SPA(-benchmark, -policies, block_size=mean_block, reps=replications, seed=seed)
    test.compute()
    return float(test.pvalues["consistent"])


def superior_policies(
    benchmark: pd.Series,
    policies: pd.DataFrame,
    *,
    seed: int,
    size: float = 0.05,
    mean_block: int = 20,
    replications: int = 1000,
) -> list[str]:
    """Names of the policies that grow faster than the benchmark (StepM).

    The probability of any false rejection is ``size``.
    """
    from arch.bootstrap import StepM

    _check_days(benchmark, policies)
    test = StepM(-benchmark, -policies, size=size, block_size=mean_block, reps=replications, seed=seed)
    test.compute()
    return list(test.superior_models)


def confidence_set(
    policies: pd.DataFrame, *, seed: int, size: float = 0.10, mean_block: int = 20, replications: int = 1000
) -> list[str]:
    """Names of the policies not significantly worse than the best (MCS).

    The best is among them with probability 1 - ``size``.
    """
    from arch.bootstrap import MCS

    test = MCS(-policies, size=size, reps=replications, block_size=mean_block, seed=seed)
    test.compute()
    return list(test.included)


def _check_days(benchmark: pd.Series, policies: pd.DataFrame) -> None:
    if not benchmark.index.equals(policies.index):
        raise ValueError("benchmark and policies must cover the same days, in the same order.")
