"""Forecasts of contracts by a model fitted on other contracts.

`Panel.of` computes what is known of every contract at every decision; `panel_forecast` walks a model fitted on the pool
forward and applies it to a contract that is not in the pool. A contract's own past enters in three ways: its month is
what everything is relative to, its past errors correct its forecasts together with those of the pool, and, where
``own_weight`` says so, its past rows join those of the pool.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gearing.features import get_feature
from gearing.features.families.panel.market import market_columns, needed_quantities, quantity
from gearing.forecasters.register import PANEL_COLUMNS, PANEL_OWN_COLUMNS
from gearing.forecasters.rows import Rows, on_clock
from gearing.forecasters.targets import future_variance, measured_future_variance
from gearing.forecasters.walk_forward import Forecast, Progress, Schedule, walk_forward
from gearing.market.data import MarketData
from gearing.market.timing import parse_duration
from gearing.names import check_names

Array = NDArray[np.float64]
OWN = ("days_since_2000", "panel_level", *PANEL_OWN_COLUMNS)
FIRST_TRAIN = "180d"
LEAST_OWN, LEAST_POOLED = 30, 200  # past forecasts from which on their errors count


@dataclass(frozen=True, eq=False)
class Panel:
    """What is known of several contracts at the same moments.

    Attributes
    ----------
    symbols : tuple of str
    moments : (n_moments,) datetime64[ms]
        Closes on the clock, from the first of any contract to the last.
    own : (n_moments, n_contracts, n_own) float64
        Columns of a contract alone, `OWN`; NaN where it is not traded yet or no longer, or has less than ten days.
    quantities : mapping of str to (n_moments, n_contracts)
        What columns of the market are made of.
    target, fitted : (n_moments, n_contracts)
        Realised variance of the horizon that followed, and the measure of it that models are fitted on.
    bar_index : (n_moments, n_contracts) int
        Bar of each contract's own market that closed at the moment, -1 where none did.
    horizon : str
    """

    symbols: tuple[str, ...]
    moments: NDArray[np.datetime64]
    own: Array
    quantities: Mapping[str, Array]
    target: Array
    fitted: Array
    bar_index: NDArray[np.int64]
    horizon: str

    @classmethod
    def of(cls, markets: Mapping[str, MarketData], horizon: str = "24h", every: str = "24h") -> Panel:
        """Compute it from markets of one contract each, which may begin and end at different times.

        Parameters
        ----------
        every : str
            Decisions are at closes divisible by this from 00:00 UTC.

        Raises
        ------
        ValueError
            Without a market, or if none has a close on the clock.
        """
        if not markets:
            raise ValueError("a panel needs at least one contract.")
        bars = {symbol: np.flatnonzero(on_clock(m.close_time, every)) for symbol, m in markets.items()}
        closes = [m.close_time[bars[symbol]] for symbol, m in markets.items()]
        moments = np.unique(np.concatenate(closes))
        if not len(moments):
            raise ValueError(f"no contract of the panel has a close divisible by {every}.")
        places = [np.searchsorted(moments, one) for one in closes]
        parts = [_contract(market, bars[symbol], horizon) for symbol, market in markets.items()]

        def spread(values: list[np.ndarray], nothing: Any) -> np.ndarray:
            whole = np.full((len(moments), len(values), *values[0].shape[1:]), nothing)
            for column, (place, one) in enumerate(zip(places, values, strict=True)):
                whole[place, column] = one
            return whole

        made = {name: spread([part[name] for part in parts], np.nan) for name in parts[0]}
        own, target, fitted = (made.pop(name) for name in ("own", "target", "fitted"))
        index = spread(list(bars.values()), -1)
        return cls(tuple(markets), moments, own, made, target, fitted, index, horizon)

    def select(self, symbols: Sequence[str]) -> Panel:
        """The panel of some contracts, in that order."""
        check_names("no contract", symbols, self.symbols)
        at = [self.symbols.index(symbol) for symbol in symbols]
        quantities = {name: values[:, at] for name, values in self.quantities.items()}
        return Panel(
            tuple(symbols), self.moments, self.own[:, at], quantities, self.target[:, at], self.fitted[:, at],
            self.bar_index[:, at], self.horizon,
        )  # fmt: skip

    def rows(self, measured: bool = False) -> Rows:
        """Rows of all contracts, ordered by contract, then time; columns of the market are of this panel's contracts.

        Parameters
        ----------
        measured : bool
            Whether the target is the measure that models are fitted on, instead of realised variance.
        """
        market = market_columns(self.quantities)
        X = np.concatenate([self.own, np.stack([market[name] for name in market], axis=-1)], axis=-1)
        lower, upper = (
            np.array([getattr(get_feature(name), end) for name in PANEL_COLUMNS]) for end in _ENDS
        )
        contract, place = np.nonzero(np.isfinite(X).all(axis=-1).T)
        known_at = self.moments[place]
        return Rows(
            X=np.clip(X[place, contract], lower, upper),
            y=(self.fitted if measured else self.target)[place, contract],
            known_at=known_at,
            ends_at=known_at + parse_duration(self.horizon),
            bar_index=self.bar_index[place, contract],
            contract=contract,
            columns=PANEL_COLUMNS,
            horizon=self.horizon,
        )


_ENDS = ("lower", "upper")


def _contract(market: MarketData, bars: NDArray[np.int64], horizon: str) -> dict[str, np.ndarray]:
    """Own columns, quantities and targets of one contract at some bars; axis 0 is the bar."""
    if market.n_contracts != 1:
        raise ValueError(f"a panel takes markets of one contract each, not of {', '.join(market.symbols)}.")

    def at(values: Array) -> Array:
        return np.where(market.tradable[bars, 0], values[bars, 0], np.nan)

    own = np.stack([at(get_feature(name)(market)) for name in OWN], axis=-1)
    made = {name: at(quantity(market, name)) for name in needed_quantities()}
    targets = {"target": future_variance, "fitted": measured_future_variance}
    return {"own": own, **made, **{name: at(of(market, horizon)) for name, of in targets.items()}}


def panel_forecast(
    panel: Panel,
    symbol: str,
    pool: Sequence[str] | None = None,
    schedule: Schedule | None = None,
    *,
    estimator: Any = None,
    own_weight: float = 0.0,
    progress: Progress | None = None,
) -> Forecast:
    """Forecast a contract by a model fitted on others, out of sample in both respects.

    Nothing of the contract enters the model or the columns that it is fitted on, unless ``own_weight`` is positive.

    Parameters
    ----------
    panel : Panel
        Of the contract and of its pool.
    symbol : str
    pool : sequence of str, optional
        Contracts whose rows train; the contract itself is left out. Default: all others of the panel.
    schedule : Schedule, optional
        Default: first window of 180 days of the pool, growing, refitted monthly.
    estimator : PanelForecaster, optional
    own_weight : float, default=0.0
        Weight of the contract's own past rows, those of the pool having one.

    Returns
    -------
    Forecast
        Of the contract's rows from the first refit on. ``value`` is the variance over the horizon, so that a
        volatility per day is the root of ``value`` over the days of the horizon.

    Raises
    ------
    ValueError
        If the pool is empty or too short for a training window.
    """
    from gearing.forecasters.models.panel import PanelForecaster  # which needs scikit-learn

    others = [name for name in (panel.symbols if pool is None else pool) if name != symbol]
    if not others:
        raise ValueError(f"nothing to train on: the pool of {symbol} has no contract besides it.")
    training, mine = panel.select(others).rows(measured=True), _own_rows(panel, symbol, others)
    weight = None
    if own_weight > 0.0:
        own = _own_rows(panel, symbol, others, measured=True)
        weight = np.repeat([1.0, own_weight], [len(training), len(own)])
        training = Rows.stacked([training, own])
    whole = Rows.stacked([panel.select(others).rows(), mine])
    schedule = schedule or Schedule(first_train=FIRST_TRAIN)
    if not len(training) or not len(schedule.refits(training.known_at.min(), whole.known_at.max())):
        begins = (
            f" begins on {training.known_at.min().astype('datetime64[D]')}"
            if len(training)
            else " has no rows"
        )
        raise ValueError(
            f"the pool of {symbol} ({', '.join(others)}){begins}: nothing follows its first training window of "
            f"{schedule.first_train}. Name contracts with a longer history, or give a shorter window."
        )
    made = walk_forward(
        PanelForecaster() if estimator is None else estimator, whole, schedule,
        train=training, weight=weight, correct_bias=False, progress=progress,
    )  # fmt: skip
    return _corrected(made, len(others))


def _own_rows(panel: Panel, symbol: str, others: Sequence[str], measured: bool = False) -> Rows:
    """Rows of the contract in the market of its pool; its number follows those of the pool."""
    rows = panel.select([*others, symbol]).rows(measured)
    return rows.take(rows.contract == len(others))


def _corrected(made: Forecast, contract: int) -> Forecast:
    """The contract's forecasts, corrected by past errors: the root of its own mean ratio times that of the pool."""
    from gearing.forecasters.models.scaled import ScaledForecaster

    ratio = np.where(made.rows.y > 0.0, made.rows.y / made.value, np.nan)
    own, known = made.rows.contract == contract, np.isfinite(ratio)
    value, scale = made.value.copy(), 1.0
    for moment in np.unique(made.fitted_until):
        past = known & (made.rows.ends_at <= moment)
        pooled = _mean(ratio[past & ~own], LEAST_POOLED, 1.0)
        scale = float(np.sqrt(pooled * _mean(ratio[past & own], LEAST_OWN, pooled)))
        value[made.fitted_until == moment] *= scale
    corrected = Forecast(made.rows, value, made.fitted_until, ScaledForecaster(made.last_model, scale))
    found = corrected.take(own)
    if not len(found.rows):
        raise ValueError("no row of the contract follows the first training window of its pool.")
    return found


def _mean(ratios: Array, least: int, otherwise: float) -> float:
    return float(ratios.mean()) if len(ratios) >= least else otherwise
