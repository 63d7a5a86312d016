"""Bars with 20 feature columns that gym-trading-env is measured on; the peers' scripts stand in this folder."""

import numpy as np
import pandas as pd


def bars(n: int = 20_000) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.005, n)))
    frame = pd.DataFrame({"open": close, "high": close * 1.004, "low": close * 0.996, "close": close})
    frame["volume"] = 1.0
    for k in range(20):
        frame[f"feature_{k}"] = rng.normal(size=n)
    frame.index = pd.date_range("2020-01-01", periods=n, freq="h")
    return frame
