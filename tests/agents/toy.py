"""A tiny market whose next move is announced by a column: the best leverage is known, a random one loses."""

import numpy as np

from gearing.contracts import Contract, TierSchedule
from gearing.features import FeatureTable
from gearing.market.data import SETTLEMENT_DTYPE, MarketData
from gearing.simulation import SimulationConfig

DAY = np.timedelta64(86_400_000, "ms")
MOVE = 0.02  # every day the price gains or loses two percent


def announced_market(n_days: int = 400, seed: int = 0) -> tuple[MarketData, FeatureTable]:
    """Daily bars; the column ``tomorrow`` is +1 before a gain and -1 before a loss, ``noise`` says nothing."""
    rng = np.random.default_rng(seed)
    signs = rng.choice([-1.0, 1.0], n_days)
    close = 100.0 * np.exp(np.cumsum(np.log1p(MOVE * signs)))
    open_ = np.concatenate([[100.0], close[:-1]])
    prices = np.stack([open_, np.maximum(open_, close), np.minimum(open_, close), close], axis=-1)[:, None, :]
    tier = TierSchedule.from_rates([0.0], [0.0], [10.0], source="test: no maintenance margin")
    market = MarketData(
        open_time=np.datetime64("2021-01-01", "ms") + np.arange(n_days) * DAY,
        bar=DAY,
        contracts=(Contract("TOY", schedules=(tier,)),),
        last=prices,
        mark=prices,
        volume=np.ones((n_days, 1)),
        settlements=np.zeros(0, SETTLEMENT_DTYPE),
        tradable=np.ones((n_days, 1), bool),
        name=f"toy {seed}",
    )
    tomorrow = np.append(signs[1:], 1.0)
    values = np.stack([tomorrow, rng.normal(size=n_days)], axis=-1)[:, None, :].astype(np.float32)
    table = FeatureTable(
        open_time=market.open_time,
        bar=DAY,
        symbols=("TOY",),
        columns=("tomorrow", "noise"),
        values=np.clip(values, -5.0, 5.0),
        lower=np.array([-1.0, -5.0], np.float32),
        upper=np.array([1.0, 5.0], np.float32),
        units=("sign", "-"),
    )
    return market, table


def toy_config(**changes) -> SimulationConfig:
    """Up to 3x long, no slippage; the venue's usual fee."""
    return SimulationConfig(
        **{"max_leverage": 3.0, "margin_share": 0.5, "slippage": 0.0, "decision_interval": "24h", **changes}
    )


def best_growth_per_year(config: SimulationConfig) -> float:
    """Log growth of the largest leverage before every gain and none before every loss, fees left out.

    Half of all days gain: 365 / 2 x ln(1 + share x leverage x move).
    """
    return 365 / 2 * np.log1p(config.margin_share * config.max_leverage * MOVE)


class RandomLeverage:
    """Uniform between nothing and the most."""

    required_columns = ()
    action_scheme = "target"

    def __init__(self, largest: float, seed: int = 0):
        self.largest, self.rng = largest, np.random.default_rng(seed)

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return self.rng.uniform(0.0, self.largest, observation["effective_leverage"].shape), state


def run_graph(path, observations, **inputs):
    """First output of a written graph; ``inputs`` are its other inputs."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {"observation": observations, **inputs})[0]
