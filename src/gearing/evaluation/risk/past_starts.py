"""How much leverage was safe? A position is opened on every day of a market's history.

It is opened at the first open after each midnight (UTC) and held without rebalancing, through funding and the
inside of every bar. The share of starts that met the event within the horizon is its probability; neighbouring starts
share most of their future, so intervals resample blocks of starts at least as long as the horizon.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gearing.evaluation.playing import Records, decisions_left, play
from gearing.evaluation.statistics.bootstrap import block_mean
from gearing.features import FeatureSet, parse_duration
from gearing.market.data import MarketData
from gearing.market.timing import DAY
from gearing.policies.rules.excursion_budget import EVENTS
from gearing.simulation.config import SimulationConfig
from gearing.simulation.simulator import Simulator

HORIZONS = ("1d", "7d", "30d", "90d", "365d")
_LEAST_BLOCK = 20  # starts
_BOOKED = {"price": "price_pnl", "fees": "fees", "funding": "funding", "liquidation": "liquidation"}


@dataclass(frozen=True)
class Probability:
    """Probability of an event within a horizon, from the starts of one history."""

    estimate: float
    low: float
    high: float
    n_starts: int

    def as_row(self) -> dict[str, float]:
        """Values by the names of their columns."""
        return {"probability": self.estimate, "low": self.low, "high": self.high, "n_starts": self.n_starts}

    def __str__(self) -> str:
        return f"{self.estimate:.1%} [{self.low:.1%}, {self.high:.1%}]"


class Starts:
    """One contract's history, in which a position is opened on every day.

    Parameters
    ----------
    market : MarketData
    event : {"liquidation", "drawdown"}
    drawdown : float
        Share of equity whose loss is the event, observed at the close of every bar; a liquidation that loses as much
        counts, too.
    direction : {"long", "short"}
    contract : str, optional
        Default: the market's only one.
    margin_mode, margin_share
        As in :class:`gearing.SimulationConfig`. An isolated position's liquidation does not depend on the share.

    Attributes
    ----------
    simulator : Simulator
        Its accounts, one a start, stand where the last leverage and horizon ended.
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
        self.market, self.symbol = market, market.symbols[0]
        # A liquidation is detected inside bars, a drawdown at the close of every bar.
        self.step = DAY if event == "liquidation" else market.bar
        self.config = SimulationConfig(
            direction=direction, max_leverage=_top_leverage(market), margin_mode=margin_mode, margin_share=share,
            rebalance="never", start="first", ruin_fraction=ruin,
            decision_interval=f"{int(self.step / np.timedelta64(1, 'm'))}m", **settings,
        )  # fmt: skip
        self._table = FeatureSet(["log_return"]).compute(market)
        self.simulator = Simulator(market, self._table, self.config)
        edges = self.simulator.tape.boundaries[0]
        times = self.simulator.tape.row_time[edges[:-1]]
        self.days = np.flatnonzero((times - times[0].astype("datetime64[D]")) % DAY == np.timedelta64(0))
        self._last = edges.size - 1

    @property
    def opened(self) -> np.ndarray:
        """Moment of every start (n_days,) datetime64[ms]."""
        tape = self.simulator.tape
        return tape.row_time[tape.boundaries[0][self.days]]

    def times(self, leverage: float, horizon: str) -> np.ndarray:
        """Steps until the event of every start (n_days,).

        Infinite where it came neither within the horizon nor before the data end; NaN where the exchange refused or
        cut the position, because its tiers do not allow the leverage at that size: less was at risk than requested.
        """
        return self._hold(leverage, self._steps(horizon), booked=False)[0]

    def outcomes(self, leverage: float, horizon: str) -> dict[str, np.ndarray]:
        """Change of every start's equity within the horizon, as a share of that equity; each (n_days,).

        ``price``, ``fees``, ``funding`` and ``liquidation`` (margin left at the liquidation price, and lost) sum to
        ``total``; ``liquidated`` is 1 with the event. NaN where the horizon runs beyond the data, or as in
        `times`.
        """
        count = self._steps(horizon)
        times, sums = self._hold(leverage, count, booked=True)
        parts = {name: sums[column] / self.config.initial_equity for name, column in _BOOKED.items()}
        parts["total"] = np.sum(list(parts.values()), axis=0)
        parts["liquidated"] = np.isfinite(times).astype(np.float64)
        whole = self._whole(times, count)
        return {name: np.where(whole, value, np.nan) for name, value in parts.items()}

    def _hold(self, leverage: float, count: int, *, booked: bool) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Hold every start for ``count`` steps: see `times`; and ledger sums, of the first step unless ``booked``."""
        if self.simulator.n_accounts != self.days.size:
            self.simulator = Simulator(self.market, self._table, self.config, self.days.size)
        simulator = self.simulator
        simulator.begin(self.days, count)
        left = decisions_left(simulator)
        opening, holding = Records(), Records(steps=booked)
        active, _ = play(simulator, np.full((1, 1), leverage), opening)
        play(simulator, np.full((count, 1), np.nan), holding, active=active)
        first: Any = opening.steps[:, 0]
        rest = holding.steps
        not_had = (first.turnover == 0.0) | (first.capped > 0)
        lived = (left - decisions_left(simulator)).astype(np.float64)
        times = np.where(not_had, np.nan, np.where(simulator.terminated, lived, np.inf))
        return times, {column: first[column] + rest[column].sum(axis=1) for column in _BOOKED.values()}

    def probability(
        self,
        leverage: float,
        horizon: str,
        *,
        times: np.ndarray | None = None,
        seed: int = 0,
        replications: int = 500,
    ) -> Probability:
        """Share of starts with the event within the horizon, with its 95 % interval.

        Parameters
        ----------
        times : (n_days,) array, optional
            Known `times` of this leverage at the same or a longer horizon.
        """
        count = self._steps(horizon)
        times = self.times(leverage, horizon) if times is None else times
        hit = times[self._whole(times, count)] <= count
        if hit.size < 2:
            raise ValueError(
                f"{self.market!r} has {hit.size} starts of {leverage:g}x whose whole {horizon} lie in the data; choose "
                "a shorter horizon, or a leverage and initial_equity that its tiers allow."
            )
        days = float(parse_duration(horizon) / DAY)
        return share_of(hit.astype(np.float64), days, seed=seed, replications=replications)

    def hits(self, leverage: float, horizon: str) -> np.ndarray:
        """1 where the event came within the horizon, 0 where it did not, NaN where that is not known (n_days,)."""
        count, times = self._steps(horizon), self.times(leverage, horizon)
        return np.where(self._whole(times, count), times <= count, np.nan)

    def counted(self, times: np.ndarray, horizon: str) -> int:
        """Starts whose whole horizon lies in the data, and that had the requested leverage."""
        return int(self._whole(times, self._steps(horizon)).sum())

    def _whole(self, times: np.ndarray, count: int) -> np.ndarray:
        return (self.days + count <= self._last) & ~np.isnan(times)

    def _steps(self, horizon: str) -> int:
        length = parse_duration(horizon)
        if length < self.step or length % self.step != np.timedelta64(0):
            raise ValueError(
                f"horizon is {horizon}; it must be a multiple of {self.step.astype('timedelta64[h]')}."
            )
        return int(length // self.step)


def share_of(hit: np.ndarray, horizon_days: float, *, seed: int, replications: int = 500) -> Probability:
    """Share of days with a hit, and its interval from blocks at least as long as the horizon."""
    block = max(_LEAST_BLOCK, horizon_days)
    found = block_mean(hit, block, seed=seed, replications=replications)
    return Probability(*found, hit.size)


def risk_by_leverage(
    market: MarketData,
    leverages: Sequence[float] = (1, 2, 3, 5, 10, 20, 50),
    horizons: Sequence[str] = HORIZONS,
    *,
    event: str = "liquidation",
    seed: int = 0,
    **exposure: Any,
) -> pd.DataFrame:
    """Probability of an event by leverage and horizon: ``probability``, ``low``, ``high``, ``n_starts``."""
    starts = Starts(market, event=event, **exposure)
    longest = max(horizons, key=parse_duration)
    rows = []
    for x in leverages:
        times = starts.times(x, longest)
        rows += [
            {"leverage": x, "horizon": h, **starts.probability(x, h, times=times, seed=seed).as_row()}
            for h in horizons
        ]
    return pd.DataFrame(rows).set_index(["leverage", "horizon"])


def _top_leverage(market: MarketData) -> float:
    """Largest leverage that every dated schedule allows."""
    return float(min(schedule.tiers[0].max_leverage for schedule in market.contracts[0].schedules))


def _one_contract(market: MarketData, contract: str | None) -> MarketData:
    if contract is None and market.n_contracts > 1:
        raise ValueError(f"the market has {', '.join(market.symbols)}; name one with contract=.")
    return market if contract is None else market.select([contract])
