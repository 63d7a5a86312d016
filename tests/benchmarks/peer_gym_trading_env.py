"""Steps a second of gym-trading-env with changing positions, printed as JSON; run in its own environment."""

import json
import statistics
import time

import gym_trading_env  # noqa: F401 - registers the env
import gymnasium as gym
import numpy as np
from peer_gym_trading_env_bars import bars

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
