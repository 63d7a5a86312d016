"""Build a Simulator and its spaces from the arguments of ``gymnasium.make``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from gearing.features import FeatureSet, FeatureTable
from gearing.market.data import MarketData
from gearing.simulation.config import SimulationConfig, check_settings
from gearing.simulation.simulator import Simulator

# Fields of a step that ``info`` carries, all but its last two in order;
# price_pnl + fees + funding + liquidation = equity - equity_before.
INFO = (
    "equity_before", "equity", "log_growth", "price_pnl", "fees", "funding", "liquidation", "turnover",
    "lowest", "highest", "drawdown", "liquidations", "refused", "capped",
)  # fmt: skip


def build_simulator(
    market: MarketData | Sequence[MarketData] | None,
    features: FeatureTable | Sequence[FeatureTable] | FeatureSet | Sequence[str] | None,
    n_accounts: int,
    n_threads: int,
    settings: dict[str, Any],
) -> Simulator:
    """Simulator behind an env; without a market, two years of synthetic market B.

    Raises
    ------
    TypeError
        For an unknown setting; the message names the nearest.
    """
    check_settings(settings)
    if market is None:
        from gearing.market.synthetic.generators import synthetic_market

        market = synthetic_market("market-b", seed=0, years=2)
    markets = [market] if isinstance(market, MarketData) else list(market)
    return Simulator(
        markets, feature_tables(markets, features), SimulationConfig(**settings), n_accounts, 0, n_threads
    )


def feature_tables(markets: list[MarketData], features: Any) -> list[FeatureTable] | None:
    """Feature tables: given tables unchanged, a set or names computed on each market."""
    if features is None or isinstance(features, FeatureTable):
        return features if features is None else [features]
    if not isinstance(features, FeatureSet) and all(isinstance(f, FeatureTable) for f in features):
        return list(features)
    chosen = features if isinstance(features, FeatureSet) else FeatureSet(features)
    return chosen.compute_all(markets)


class OracleGrowth:
    """The oracle's growth between two rows, for regret, on a single market."""

    def __init__(self, growth: np.ndarray, simulator: Simulator):
        if len(simulator.markets) != 1 or len(growth) != len(simulator.tape.rows):
            raise ValueError(
                f"oracle_growth has {len(growth)} values; it must have one per bar of a single market, "
                f"{len(simulator.tape.rows)} here."
            )
        self._total = np.concatenate([[0.0], np.cumsum(growth)])

    def between(self, first: np.ndarray, last: np.ndarray) -> np.ndarray:
        """Growth over rows first..last-1."""
        return self._total[last] - self._total[first]


def observation_space(simulator: Simulator) -> spaces.Box:
    """Flat float32 box with the bounds of every column."""
    return spaces.Box(simulator.layout.low, simulator.layout.high, dtype=np.float32)


def action_space(simulator: Simulator) -> spaces.Space:
    """Normalised actions: Box(-1, 1) per slot, or Discrete (several slots: MultiDiscrete)."""
    slots, choices = len(simulator.slots), simulator.scheme.n_choices
    if choices is None:
        return spaces.Box(-1.0, 1.0, (slots,), np.float32)
    return spaces.Discrete(choices) if slots == 1 else spaces.MultiDiscrete([choices] * slots)


def shaped_actions(simulator: Simulator, actions: Any) -> np.ndarray:
    """Actions as (n_accounts, n_slots).

    Raises
    ------
    ValueError
        If a continuous action is NaN or outside [-1, 1].
    """
    if simulator.scheme.n_choices is not None:
        return np.asarray(actions).reshape(simulator.decided.shape)
    shaped = np.asarray(actions, np.float64).reshape(simulator.decided.shape)
    if not np.abs(shaped).max() <= 1.0 + 1e-6:
        raise ValueError(
            f"actions must be finite and in [-1, 1], given {actions!r}; clip them to the action space."
        )
    return shaped
