"""How much leverage is safe? Every day of a market's history as the day somebody opened a position.

A position is opened at the first open after each midnight (UTC) and held without rebalancing, through funding and the
inside of every bar. The share of starts that met the event within the horizon is its probability; neighbouring starts
share most of their future, so intervals resample blocks of starts at least as long as the horizon.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from gearing.evaluation.bootstrap import resamples
from gearing.features import FeatureSet, parse_duration
from gearing.market.data import MarketData
from gearing.simulation.config import SimulationConfig
from gearing.simulation.simulator import Simulator

if TYPE_CHECKING:
    import pandas as pd

EVENTS = ("liquidation", "drawdown")
HORIZONS = ("1d", "7d", "30d", "90d", "365d")
_DAY = np.timedelta64(86_400_000, "ms")
_LEAST_BLOCK = 20  # starts
_SMALLEST, _PRECISION = 0.1, 1.01  # smallest leverage looked at, and ratio at which the search ends


@dataclass(frozen=True)
class Probability:
    """Of an event within a horizon, from the starts of one history."""

    estimate: float
    low: float
    high: float
    n_starts: int

    def __str__(self) -> str:
        return f"{self.estimate:.1%} [{self.low:.1%}, {self.high:.1%}]"


@dataclass(frozen=True)
class SafestLeverage:
    """The largest leverage that kept an event within a budget.

    Attributes
    ----------
    leverage : float
        Largest whose estimated probability is within the budget.
    probability : Probability
        At that leverage.
    cautious : float
        Largest whose upper bound of the 95 % interval is within the budget; 0 if there is none.
    """

    leverage: float
    probability: Probability
    cautious: float
    event: str
    horizon: str
    max_probability: float
    contract: str
    notes: tuple[str, ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        return (
            f"{self.contract}: {self.leverage:.2f}x keeps {self.event} within {self.horizon} at {self.probability}, "
            f"budget {self.max_probability:.1%}; {self.cautious:.2f}x surely"
        )


class Starts:
    """One contract's history, ready to be started in on every day.

    Parameters
    ----------
    market : MarketData
    event : {"liquidation", "drawdown"}
    drawdown : float
        Part of the equity whose loss is the event, seen at the close of every bar; a liquidation that loses as much
        is one, too.
    direction : {"long", "short"}
    contract : str, optional
        Default: the market's only one.
    margin_mode, margin_share
        As in :class:`gearing.SimulationConfig`. An isolated position's liquidation does not depend on the share.
    """

    def __init__(
        self,
        market: MarketData,
        *,
        event: str = "liquidation",
        drawdown: float = 0.5,
        direction: str = "long",
        contract: str | None = None,
        margin_mode: str = "isolated",
        margin_share: float = 1.0,
        **settings: Any,
    ):
        if event not in EVENTS:
            raise ValueError(f"event is {event!r}; it must be one of {', '.join(EVENTS)}.")
        if direction not in ("long", "short"):
            raise ValueError(f"direction is {direction!r}; it must be long or short.")
        market = _one_contract(market, contract)
        share = 1.0 if event == "liquidation" and margin_mode == "isolated" else margin_share
        ruin = 1e-4 if event == "liquidation" else 1.0 - drawdown
        hours = int(market.bar / np.timedelta64(1, "m"))
        config = SimulationConfig(
            direction=direction, max_leverage=market.contracts[0].top_leverage, margin_mode=margin_mode,
            margin_share=share, rebalance="never", start="first", ruin_fraction=ruin, decision_interval=f"{hours}m",
            **settings,
        )  # fmt: skip
        table = FeatureSet(["log_return"]).compute(market)
        self.market, self.config, self.table = market, config, table
        self.symbol = market.symbols[0]
        times = market.open_time[table.first_complete + 1 :]
        self.days = np.flatnonzero((times - times[0].astype("datetime64[D]")) % _DAY == np.timedelta64(0))
        self._bars = len(times)
        self._simulator: Simulator | None = None

    def hits(self, leverage: float, horizon: str) -> np.ndarray:
        """Bars until the event (n_starts,), infinite where it did not come within the horizon; whole horizons only."""
        count = int(parse_duration(horizon) // self.market.bar)
        starts = self.days[self.days + count < self._bars]
        if starts.size < 2 or count < 1:
            raise ValueError(
                f"{self.market!r} has {starts.size} days that a horizon of {horizon} still fits behind; choose a "
                "shorter one."
            )
        simulator = self._of(starts.size)
        simulator.begin(starts, count)
        first = simulator.accounts.row.copy()
        targets = np.full((count, 1), np.nan)
        targets[0] = leverage if self.config.direction == "long" else -leverage
        simulator.run(targets, record_steps=False)
        bars = (simulator.accounts.row - first).astype(np.float64)
        return np.where(simulator.terminated, bars, np.inf)

    def _of(self, n_accounts: int) -> Simulator:
        if self._simulator is None or self._simulator.n_accounts != n_accounts:
            self._simulator = Simulator(self.market, self.table, self.config, n_accounts)
        return self._simulator

    def probability(
        self, leverage: float, horizon: str, *, seed: int = 0, replications: int = 500
    ) -> Probability:
        """Share of starts that met the event within the horizon, with its 95 % interval."""
        hit = np.isfinite(self.hits(leverage, horizon)).astype(np.float64)
        return share_of(hit, float(parse_duration(horizon) / _DAY), seed=seed, replications=replications)


def share_of(hit: np.ndarray, horizon_days: float, *, seed: int, replications: int = 500) -> Probability:
    """Share of days with a hit, and its interval from blocks at least as long as the horizon."""
    block = min(max(_LEAST_BLOCK, horizon_days), hit.size / 2)
    draws = np.concatenate(
        [hit[rows].mean(axis=1) for rows in resamples(hit.size, block, replications, seed)]
    )
    low, high = np.quantile(draws, [0.025, 0.975])
    return Probability(float(hit.mean()), float(low), float(high), hit.size)


def safest_leverage(
    market: MarketData,
    event: str = "liquidation",
    horizon: str = "30d",
    max_probability: float = 0.05,
    *,
    seed: int = 0,
    **exposure: Any,
) -> SafestLeverage:
    """Largest leverage whose probability of an event within the horizon stays within a budget.

    Parameters
    ----------
    market : MarketData
    event : {"liquidation", "drawdown"}
        Liquidation, or the loss of a part of the equity (``drawdown=0.5``).
    horizon : str
    max_probability : float
    seed : int
        Of the intervals.
    **exposure
        Of :class:`Starts`: direction, contract, margin_mode, margin_share, drawdown.

    Examples
    --------
    >>> print(safest_leverage(market, event="liquidation", horizon="30d", max_probability=0.01))  # doctest: +SKIP
    """
    if not 0.0 < max_probability < 1.0:
        raise ValueError(f"max_probability is {max_probability}; it must be between 0 and 1.")
    starts = Starts(market, event=event, **exposure)
    top = starts.config.max_leverage

    def largest(bound: str) -> tuple[float, Probability]:
        return _bisect(starts, horizon, max_probability, bound, seed, top)

    leverage, probability = largest("estimate")
    return SafestLeverage(
        leverage, probability, largest("high")[0], event, horizon, max_probability, starts.symbol, market.notes
    )  # fmt: skip


def _bisect(
    starts: Starts, horizon: str, budget: float, bound: str, seed: int, top: float
) -> tuple[float, Probability]:
    """Largest leverage with the bound within the budget, to a percent; it rises with leverage."""
    low, high = _SMALLEST, top
    at_top = starts.probability(high, horizon, seed=seed)
    if getattr(at_top, bound) <= budget:
        return high, at_top
    found = starts.probability(low, horizon, seed=seed)
    if getattr(found, bound) > budget:
        return 0.0, found
    while high / low > _PRECISION:
        middle = float(np.sqrt(low * high))
        seen = starts.probability(middle, horizon, seed=seed)
        if getattr(seen, bound) <= budget:
            low, found = middle, seen
        else:
            high = middle
    return low, found


def risk_by_leverage(
    market: MarketData,
    leverages: Sequence[float] = (1, 2, 3, 5, 10, 20, 50, 100),
    horizons: Sequence[str] = HORIZONS,
    *,
    event: str = "liquidation",
    seed: int = 0,
    **exposure: Any,
) -> pd.DataFrame:
    """Probability of an event by leverage and horizon: ``probability``, ``low``, ``high``, ``n_starts``."""
    import pandas as pd

    starts = Starts(market, event=event, **exposure)
    rows = [
        {"leverage": x, "horizon": h, **_as_row(starts.probability(x, h, seed=seed))}
        for x in leverages
        if x <= starts.config.max_leverage
        for h in horizons
    ]
    return pd.DataFrame(rows).set_index(["leverage", "horizon"])


def _as_row(found: Probability) -> dict[str, float]:
    return {
        "probability": found.estimate,
        "low": found.low,
        "high": found.high,
        "n_starts": found.n_starts,
    }


def _one_contract(market: MarketData, contract: str | None) -> MarketData:
    if contract is None and market.n_contracts > 1:
        raise ValueError(f"the market has {', '.join(market.symbols)}; name one with contract=.")
    return market if contract is None else market.select([contract])
