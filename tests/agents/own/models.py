"""Small untrained models of stable-baselines3 on an environment that is none of gearing's."""

import gymnasium
import numpy as np
import sb3_contrib
import stable_baselines3
from gymnasium import spaces

BOX, CHOICES = spaces.Box(0.0, 10.0, (1,), np.float32), spaces.Discrete(5)
LEVELS = [0, 1, 2, 3, 5]
COLUMNS = ["log_return", "realized_volatility_24h", "trend_7d", "effective_leverage"]
# Algorithm: its class and actions.
CLASSES = {
    "ppo": (stable_baselines3.PPO, BOX), "a2c": (stable_baselines3.A2C, BOX), "sac": (stable_baselines3.SAC, BOX),
    "td3": (stable_baselines3.TD3, BOX), "ddpg": (stable_baselines3.DDPG, BOX),
    "dqn": (stable_baselines3.DQN, CHOICES), "trpo": (sb3_contrib.TRPO, BOX), "tqc": (sb3_contrib.TQC, BOX),
    "qr_dqn": (sb3_contrib.QRDQN, CHOICES), "recurrent_ppo": (sb3_contrib.RecurrentPPO, BOX),
    "maskable_ppo": (sb3_contrib.MaskablePPO, CHOICES),
}  # fmt: skip


class Numbers(gymnasium.Env):
    """Shows random numbers."""

    def __init__(self, actions, size=4):
        self.observation_space = spaces.Box(-np.inf, np.inf, (size,), np.float32)
        self.action_space = actions

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(self.observation_space.shape, np.float32), {}

    def step(self, action):
        return (
            self.np_random.normal(size=self.observation_space.shape).astype(np.float32),
            0.0,
            False,
            False,
            {},
        )


def model(name, actions=None, size=4, **settings):
    made, default = CLASSES[name]
    policy = "MlpLstmPolicy" if name == "recurrent_ppo" else "MlpPolicy"
    network = {} if name == "recurrent_ppo" else {"policy_kwargs": {"net_arch": [8, 6]}}
    if made.__name__ in ("SAC", "TD3", "DDPG", "DQN", "TQC", "QRDQN"):
        settings = {"buffer_size": 10, **settings}
    environment = Numbers(default if actions is None else actions, size)
    return made(policy, environment, seed=0, **{**network, **settings})


def observations(size=4):
    return 3.0 * np.random.default_rng(1).normal(size=(40, size)).astype(np.float32)


def meaning(name):
    """What its actions mean, as `from_sb3` takes it."""
    return {"levels": LEVELS} if CLASSES[name][1] is CHOICES else {"action": "target"}
