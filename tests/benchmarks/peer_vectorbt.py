"""Seconds of vectorbt's backtest of one target-leverage series, printed as JSON; run in its own environment.

Given a folder with ``close.npy`` and ``target.npy`` (hourly bars), and how many rounds.
What is timed is from orders to the total return.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import vectorbt as vbt

folder = Path(sys.argv[1])
close, target = (np.load(folder / f"{name}.npy") for name in ("close", "target"))
index = pd.date_range("2020-01-01", periods=close.size, freq="h")
price, size = pd.Series(close, index), pd.Series(target, index)


def total_return():
    portfolio = vbt.Portfolio.from_orders(
        price, size, size_type="targetpercent", fees=0.0005, slippage=0.0002, freq="h"
    )
    return portfolio.total_return()


total_return()  # compiles
times = []
for _ in range(int(sys.argv[2])):
    start = time.thread_time()
    total_return()
    times.append(time.thread_time() - start)
print(json.dumps({"seconds": min(times), "bars": int(close.size)}))
