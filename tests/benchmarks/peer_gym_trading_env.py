"""Steps a second of gym-trading-env with changing positions, printed as JSON; run in its own environment."""

import json
import statistics
import time

import gym_trading_env  # noqa: F401 - registers the env
import gymnasium as gym
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


env = gym.make(
    "TradingEnv", name="bench", df=bars(), positions=[0, 0.5, 1, 2], trading_fees=0.0005, borrow_interest_rate=1e-5,
    verbose=0,
)  # fmt: skip
rates = []
for _ in range(5):
    env.reset(seed=0)
    actions = np.random.default_rng(0).integers(0, 4, 3000)
    start = time.thread_time()
    for action in actions:
        _, _, done, truncated, _ = env.step(int(action))
        if done or truncated:
            env.reset()
    rates.append(len(actions) / (time.thread_time() - start))
print(json.dumps({"single env": statistics.median(rates)}))
