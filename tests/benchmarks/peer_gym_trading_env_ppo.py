"""Steps a second of PPO on gym-trading-env under DummyVecEnv(8), printed as JSON; run in the peer's environment.

stable-baselines3 and torch are those of the caller (named by PYTHONPATH), with the default settings of PPO.
"""

import json
import sys
import time

import gym_trading_env  # noqa: F401 - registers the env
import gymnasium as gym
import torch
from peer_gym_trading_env_bars import bars
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv

ENVS, STEPS = 8, int(sys.argv[1])


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
