"""Corrections for selection among many trials.

Probabilistic and deflated Sharpe ratio (Bailey and Lopez de Prado, 2012 and 2014) and the probability of
backtest overfitting (Bailey, Borwein, Lopez de Prado and Zhu, 2017).
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import kurtosis, norm, rankdata, skew

from gearing.evaluation.metrics import DAYS_PER_YEAR

_EULER = 0.5772156649015329


def probabilistic_sharpe(returns: ArrayLike, benchmark: float = 0.0) -> float:
    """Probability that the true Sharpe ratio exceeds ``benchmark``, given length, skewness and kurtosis.

    Parameters
    ----------
    returns : array, shape (n_days,)
        Daily simple returns.
    benchmark : float
        Sharpe ratio per year.
    """
    returns = np.asarray(returns, dtype=float)
    ratio, threshold = returns.mean() / returns.std(ddof=1), benchmark / np.sqrt(DAYS_PER_YEAR)
    spread = 1.0 - skew(returns) * ratio + (kurtosis(returns, fisher=False) - 1.0) / 4.0 * ratio**2
    return float(norm.cdf((ratio - threshold) * np.sqrt(returns.size - 1) / np.sqrt(spread)))


def expected_best_sharpe(trial_sharpes: ArrayLike, n_trials: int | None = None) -> float:
    """Sharpe ratio per year that the best of ``n_trials`` configurations without skill is expected to show.

    Parameters
    ----------
    trial_sharpes : array, shape (n_known,)
        Sharpe ratios per year of the configurations tried; their variance is that of chance.
    n_trials : int, optional
        Number of trials (default: as many as given).
    """
    sharpes = np.asarray(trial_sharpes, dtype=float)
    n = sharpes.size if n_trials is None else n_trials
    if n < 2 or sharpes.size < 2:
        return 0.0
    quantiles = (1.0 - _EULER) * norm.ppf(1.0 - 1.0 / n) + _EULER * norm.ppf(1.0 - 1.0 / (n * np.e))
    return float(sharpes.std(ddof=1) * quantiles)


def deflated_sharpe(returns: ArrayLike, trial_sharpes: ArrayLike, n_trials: int | None = None) -> float:
    """Probability that the true Sharpe ratio exceeds the expected best of all trials by chance.

    See `probabilistic_sharpe` and `expected_best_sharpe` for the arguments.
    """
    return probabilistic_sharpe(returns, expected_best_sharpe(trial_sharpes, n_trials))


@dataclass(frozen=True)
class Overfitting:
    """Probability of backtest overfitting; above 0.5, selection is not informative."""

    probability: float
    n_splits: int
    # (n_splits,), of the selected one's rank out of sample; below 0 is the worse half
    logits: NDArray[np.float64]

    def __str__(self) -> str:
        return f"{self.probability:.2f} ({self.n_splits} splits)"


def backtest_overfitting(growth: ArrayLike, n_blocks: int = 16) -> Overfitting:
    """How often the configuration that was best on one half of time falls into the worse half on the other.

    Combinatorially symmetric cross-validation: time is cut into blocks, every half of them selects, the
    other evaluates.

    Parameters
    ----------
    growth : array, shape (n_days, n_configurations)
        Daily log growth; the criterion is its mean.
    n_blocks : int
        Even; 16 gives 12,870 splits.
    """
    growth = np.asarray(growth, dtype=float)
    if growth.ndim != 2 or growth.shape[1] < 2:
        raise ValueError(
            f"growth has shape {growth.shape}; it is (days, configurations), at least 2 of these."
        )
    if n_blocks % 2 or not 2 <= n_blocks <= growth.shape[0]:
        raise ValueError(
            f"n_blocks is {n_blocks}; it is even and at most the number of days, {growth.shape[0]}."
        )
    blocks = np.array_split(growth, n_blocks)
    sums = np.stack([block.sum(axis=0) for block in blocks])  # (n_blocks, n_configurations)
    days = np.array([len(block) for block in blocks])
    inside = _halves(n_blocks)
    trained = inside @ sums / (inside @ days)[:, None]
    judged = ~inside @ sums / (~inside @ days)[:, None]
    chosen = trained.argmax(axis=1)
    ranks = rankdata(judged, axis=1)[np.arange(len(inside)), chosen] / (growth.shape[1] + 1)
    logits = np.log(ranks / (1.0 - ranks))
    return Overfitting(float(np.mean(logits < 0.0)), len(inside), logits)


def _halves(n_blocks: int) -> NDArray[np.bool_]:
    """Every choice of half the blocks, shape (n_splits, n_blocks)."""
    chosen = np.array(list(combinations(range(n_blocks), n_blocks // 2)))
    inside = np.zeros((len(chosen), n_blocks), dtype=bool)
    np.put_along_axis(inside, chosen, True, axis=1)
    return inside


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
