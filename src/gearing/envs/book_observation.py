"""What an agent of books observes besides its rule's columns: blocks of the contracts, of the market and of the book.

Columns of a contract are 0 where it is not available or its history is too short for them (``history_known``); the
columns that the rule reads are left as they are, so that the rule decides the same with them and without.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from gearing.features import FeatureSet, FeatureTable
from gearing.features.table import AVAILABLE
from gearing.market.data import MarketData
from gearing.policies.controls import DrawdownFloor
from gearing.policies.rules.books import mean_of
from gearing.policies.rules.portfolio import CORRELATION, portfolio_volatility
from gearing.simulation.config import SimulationConfig
from gearing.simulation.simulator import Simulator

TRENDS = tuple(f"scaled_momentum_{window}" for window in ("5d", "20d", "60d", "120d"))
TREND, VOLATILITY, CARRY = "scaled_momentum_60d", "realized_volatility_30d", "funding_carry_30d"
VOLUME = "log_quote_volume_30d"
FEATURES = (
    *TRENDS, "realized_volatility_7d", VOLATILITY, "funding_carry_7d", CARRY, "funding_known", CORRELATION, VOLUME,
)  # fmt: skip
KNOWN, WEIGHT = "history_known", "rule_exposure"
RANKS = {"rank_trend": TREND, "rank_volatility": VOLATILITY, "rank_carry": CARRY}
BLOCK = {
    "market_volatility": (0.0, 20.0),
    "market_trend": (-10.0, 10.0),
    "market_breadth": (0.0, 1.0),
    "market_dispersion": (0.0, 20.0),
    "market_carry": (-20.0, 20.0),
    "leader_trend": (-10.0, 10.0),
    "rule_gross": (0.0, 1000.0),
    "rule_volatility": (0.0, 1000.0),
    "gross": (0.0, 1000.0),
    "book_volatility": (0.0, 1000.0),
    "margin_use": (0.0, 1.0),
    "floor_distance": (0.0, 1.0),
}
_MOST = 1000.0  # of an exposure


def observed_table(
    table: FeatureTable, market: MarketData, rule: Any, config: SimulationConfig
) -> FeatureTable:
    """The table that the rule reads, joined by the blocks of the contracts.

    Parameters
    ----------
    table : FeatureTable
        With the columns of ``rule``.
    rule : Policy
        Without memory. Its exposure (signed notional over equity) is the column ``rule_exposure``, unless it reads
        columns of the account.
    """
    extra = FeatureSet([AVAILABLE, *FEATURES]).compute(market)
    known = extra.complete & (extra.column(AVAILABLE) > 0.5)
    for name, values, bounds in _contract_columns(extra, known):
        if name not in table.columns:
            table = table.join(name, values, lower=bounds[0], upper=bounds[1])
    if WEIGHT in table.columns or not set(rule.required_columns) <= set(table.columns):
        return table
    exposure = _rule_exposure(table, rule, config)
    return table.join(WEIGHT, exposure, unit="ratio", lower=-_MOST, upper=_MOST)


def _contract_columns(extra: FeatureTable, known: np.ndarray) -> Iterable[tuple[str, np.ndarray, Any]]:
    """Name, values (n_bars, n_contracts) and bounds of every column of the contracts."""
    yield KNOWN, known.astype(np.float64), (0.0, 1.0)
    for k, name in enumerate(extra.columns):
        if name != AVAILABLE:
            yield name, np.where(known, extra.column(name), 0.0), (extra.lower[k], extra.upper[k])
    for name, source in RANKS.items():
        yield name, ranks(extra.column(source).astype(np.float64), known), (-1.0, 1.0)


def ranks(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Rank of every known value in its row, from -1 (lowest) to 1; the mean rank of equal ones, else 0.

    Parameters
    ----------
    values, known : (n_rows, n_contracts)
    """
    less, same = np.zeros(values.shape), np.zeros(values.shape)
    for k in range(values.shape[1]):
        other, counts = values[:, k : k + 1], known[:, k : k + 1]
        less += counts & (other < values)
        same += counts & (other == values)
    count = known.sum(axis=1, keepdims=True)
    place = less + 0.5 * (same - 1.0)
    return np.where(known & (count > 1), 2.0 * place / np.maximum(count - 1, 1) - 1.0, 0.0)


def _rule_exposure(table: FeatureTable, rule: Any, config: SimulationConfig) -> np.ndarray:
    """Signed notional over equity that the rule wants at every close (n_bars, n_contracts); NaN before it decides."""
    columns = {name: table.column(name) for name in rule.required_columns}
    with np.errstate(invalid="ignore", divide="ignore"):
        leverage = np.asarray(rule.predict(columns, deterministic=True)[0], np.float64)
    decides = np.logical_and.reduce([np.isfinite(column) for column in columns.values()])
    exposure = np.clip(leverage * np.array(config.shares(len(table.symbols))), -_MOST, _MOST)
    return np.where(decides, exposure, np.nan)


class BookSimulator(Simulator):
    """A `Simulator` whose observations end with the blocks of the market and of the book, see ``BLOCK``.

    ``market_...`` are means over the contracts of known history, ``leader_trend`` is the trend of the one with the
    largest volume, ``market_breadth`` the share of rising ones. ``rule_...`` are of the rule's book, ``gross`` and
    ``book_volatility`` of the one that is held. ``margin_use`` is the maintenance margin over the margin balance,
    ``floor_distance`` what is left of the drawdown floor's limit: (limit - drawdown) / limit, with the limit 1 where
    no floor is among the controls.
    """

    def __init__(self, *given: Any, **settings: Any):
        super().__init__(*given, **settings)
        floors = [one.limit for one in self.config.controls if isinstance(one, DrawdownFloor)]
        self._limit = min(floors, default=1.0)
        self._simulated = self.observations  # the kernel writes here
        self.layout = self.layout.with_added(BLOCK)
        self.observations = np.zeros((self.n_accounts, self.layout.size), np.float32)

    def reset(self, seed: Any = None, mask: Any = None) -> np.ndarray:
        """As of `Simulator`."""
        super().reset(seed, mask)
        return self._observed()

    def begin(self, starts: np.ndarray, count: Any, path: Any = 0) -> np.ndarray:
        """As of `Simulator`."""
        super().begin(starts, count, path)
        return self._observed()

    def step(self, targets: np.ndarray, guards: Any = None, active: Any = None) -> np.ndarray:
        """As of `Simulator`."""
        rewards = super().step(targets, guards, active)
        self._observed()
        return rewards

    def _observed(self) -> np.ndarray:
        """Put the blocks after what the kernel observed."""
        width = self._simulated.shape[1]
        self.observations[:, :width] = self._simulated
        for k, values in enumerate(block(self.view, self._limit).values()):
            self.observations[:, width + k] = values
        low, high = self.layout.low[width:], self.layout.high[width:]
        np.clip(self.observations[:, width:], low, high, out=self.observations[:, width:])
        return self.observations


def block(view: Mapping[str, np.ndarray], limit: float) -> dict[str, np.ndarray]:
    """The blocks of the market and of the book, by the names of ``BLOCK``, each (n_accounts,)."""
    known = view[KNOWN] > 0.5
    columns = {
        name: view[name].astype(np.float64) for name in (TREND, VOLATILITY, CARRY, CORRELATION, VOLUME)
    }
    trend, held = columns[TREND], view["effective_leverage"].astype(np.float64)
    middle = mean_of(trend, known)
    leader = np.where(known, columns[VOLUME], -np.inf).argmax(axis=1)[:, None]
    rule = view[WEIGHT].astype(np.float64) if WEIGHT in view else np.zeros_like(trend)
    risk = columns[VOLATILITY], mean_of(columns[CORRELATION], known)
    found = {
        "market_volatility": mean_of(columns[VOLATILITY], known),
        "market_trend": middle,
        "market_breadth": mean_of(np.where(trend > 0.0, 1.0, 0.0), known),
        "market_dispersion": np.sqrt(mean_of((trend - middle) ** 2, known)),
        "market_carry": mean_of(columns[CARRY], known),
        "leader_trend": np.take_along_axis(trend, leader, axis=1),
        "rule_gross": np.abs(rule).sum(axis=1),
        "rule_volatility": portfolio_volatility(rule, *risk),
        "gross": np.abs(held).sum(axis=1),
        "book_volatility": portfolio_volatility(held, *risk),
        "margin_use": view["margin_ratio"].max(axis=1),
        "floor_distance": 1.0 - view["drawdown"].astype(np.float64) / limit,
    }
    return {name: values.reshape(len(trend)) for name, values in found.items()}
