"""Steps a second of torchtrade's batched futures env at 1024 accounts, printed as JSON; run in its own environment."""

import json
import statistics
import time

import numpy as np
import pandas as pd
import torch
from torchtrade.envs.offline.vectorized_sequential import (
    VectorizedSequentialTradingEnv,
    VectorizedSequentialTradingEnvConfig,
)

N = 1024
torch.set_num_threads(1)
rng = np.random.default_rng(0)
close = 100 * np.exp(np.cumsum(rng.normal(0, 0.005, 20_000)))
frame = pd.DataFrame(
    {
        "timestamp": pd.date_range("2020-01-01", periods=close.size, freq="h"), "open": close, "high": close * 1.004,
        "low": close * 0.996, "close": close, "volume": 1.0,
    }
)  # fmt: skip
config = VectorizedSequentialTradingEnvConfig(
    num_envs=N, leverage=5, transaction_fee=0.0005, slippage=0.0002, window_sizes=5,
    action_levels=[-1, -0.5, 0, 0.5, 1],
    bankrupt_threshold=0.0, max_traj_length=10_000,
)  # fmt: skip
env = VectorizedSequentialTradingEnv(frame, config)
state = env.reset()
actions = [torch.from_numpy(rng.integers(0, 5, N)) for _ in range(16)]
rates = []
for _ in range(5):
    state = env.reset()
    start = time.thread_time()
    for k in range(60):
        state["action"] = actions[k % 16]
        state = env.step(state)["next"]
    rates.append(60 * N / (time.thread_time() - start))
print(json.dumps({f"batched env at {N}": statistics.median(rates)}))
