"""Build a Simulator and its spaces from the arguments of ``gymnasium.make``."""

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


def oracle_totals(growth: np.ndarray | None, simulator: Simulator) -> np.ndarray | None:
    """Growth of an oracle before each row (n_rows + 1,): differences are its growth between rows, for regret."""
    if growth is None:
        return None
    if len(simulator.markets) != 1 or len(growth) != len(simulator.tape.rows):
        raise ValueError(
            f"oracle_growth has {len(growth)} values; it must have one per bar of a single market, "
            f"{len(simulator.tape.rows)} here."
        )
    return np.concatenate([[0.0], np.cumsum(growth)])


def begin_episodes(env: Any, seed: int | None, mask: np.ndarray | None = None) -> None:
    """Reset a Gymnasium env's simulator; its first episode is random unless seeded, by Gymnasium's convention."""
    if seed is None and not env.simulator.accounts.start_equity.any():
        seed = int(env.np_random.integers(2**31))
    env.simulator.reset(seed=seed, mask=mask)


def spaces_of(simulator: Simulator) -> tuple[spaces.Box, spaces.Space]:
    """Observations, bounded per column, and actions."""
    layout = simulator.layout
    observations = spaces.Box(layout.low, layout.high, dtype=np.float32)
    return observations, action_space(len(simulator.slots), simulator.scheme.n_choices)


def action_space(slots: int, choices: int | None) -> spaces.Space:
    """Normalised actions: Box(-1, 1) per slot, or Discrete (several slots: MultiDiscrete)."""
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
    continuous = simulator.scheme.n_choices is None
    shaped = np.asarray(actions, np.float64 if continuous else None).reshape(simulator.decided.shape)
    if continuous and not np.abs(shaped).max() <= 1.0 + 1e-6:
        raise ValueError(
            f"actions must be finite and in [-1, 1], given {actions!r}; clip them to the action space."
        )
    return shaped
