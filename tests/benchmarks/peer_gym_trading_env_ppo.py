"""Steps a second of PPO on gym-trading-env under DummyVecEnv(8), printed as JSON; run in the peer's environment.

stable-baselines3 and torch are those of the caller (named by PYTHONPATH), with the default settings of PPO.
"""

import json
import sys
import time

import gym_trading_env  # noqa: F401 - registers the env
import gymnasium as gym
import numpy as np
import pandas as pd
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv

ENVS, STEPS = 8, int(sys.argv[1])


def bars(n: int = 20_000) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.005, n)))
    frame = pd.DataFrame({"open": close, "high": close * 1.004, "low": close * 0.996, "close": close})
    frame["volume"] = 1.0
    for k in range(20):
        frame[f"feature_{k}"] = rng.normal(size=n)
    frame.index = pd.date_range("2020-01-01", periods=n, freq="h")
    return frame


def make() -> gym.Env:
    return gym.make(
        "TradingEnv", name="bench", df=bars(), positions=[0, 0.5, 1, 2], trading_fees=0.0005,
        borrow_interest_rate=1e-5, verbose=0, max_episode_duration=1000,
    )  # fmt: skip


torch.set_num_threads(1)
model = PPO("MlpPolicy", DummyVecEnv([make] * ENVS), n_steps=256, seed=0, device="cpu")
model.learn(ENVS * 256)  # what is slow only once
start = time.process_time()
model.learn(STEPS, reset_num_timesteps=False)
print(json.dumps({"PPO, DummyVecEnv(8)": STEPS / (time.process_time() - start)}))
