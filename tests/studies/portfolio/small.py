"""A study of books that takes seconds, and results of books made by hand."""

import numpy as np

from gearing.studies.portfolio.play import Played

_WEEK = {"column": "realized_volatility_7d"}
SMALL = {
    "kind": "portfolio",
    "name": "small",
    "market": {"seed": 5, "years": 1.2, "contracts": ["A", "B", "C", "D"]},
    "decision": {"rebalance": "band(0.2)"},
    "test": {"from": "2020-08-01", "every": "90d"},
    "budget": [0.2],
    "main": "even",
    "resamples": 50,
    "statistics": {"replications": 100},
    "rules": {
        "trend": {"rule": "book_trend", "windows": ["5d", "20d"], **_WEEK},
        "even": {"rule": "book_inverse_volatility", **_WEEK},
        "one": {"rule": "book_inverse_volatility", "contracts": ["B"], **_WEEK},
    },
}

VARIANTS = {
    "halves": {"left_out": 2},
    "best_dropped": {"drop": 1},
    "risen_dropped": {"drop": 1, "by": "price", "policies": ["trend", "even"]},
}


def played(returns, promised=(0.1, 0.2), days=None, since=("2022-01-01",), growth=None):
    """A book with these daily returns that promised (growth, drawdown)."""
    if days is None:
        days = np.datetime64("2022-01-02", "ms") + np.arange(len(returns)) * np.timedelta64(1, "D")
    growth = [promised[0]] * len(since) if growth is None else growth
    summary = {
        "since": list(since), "scales": [1.0] * len(since), "promised_growth": growth,
        "promised_drawdown": [promised[1]] * len(since),
    }  # fmt: skip
    return Played(np.array(days, "datetime64[ms]"), np.asarray(returns, float), summary)
