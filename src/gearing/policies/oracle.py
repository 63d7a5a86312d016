"""The oracle of a synthetic market as a policy, the reference of regret.

Formulas and numbers: :mod:`gearing.market.oracle.best_leverage` (evaluation protocol, section 8).
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gearing.features import FeatureTable
from gearing.market.data import MarketData, market_list
from gearing.market.oracle.best_leverage import (
    oracle_for,
    oracle_leverage,
    path_growth,
    path_growth_of_targets,
)
from gearing.market.oracle.book_oracle import best_exposures, is_book
from gearing.policies.rules.rule import Columns, Rule, values
from gearing.simulation.config import book_settings, market_a_settings, market_b_settings

LOWER, UPPER = "oracle_lower", "oracle_upper"


@dataclass(frozen=True, eq=False)
class OraclePolicy(Rule):
    """Trades to the edge of the no-trade band of the state, and holds inside it.

    It reads the band of the *next* step's state, which no trader knows, as columns joined to the features. In market B,
    whose problem with costs is not solved here, the band is the frictionless best leverage.

    Attributes
    ----------
    lower, upper : (n_bars, n_contracts) float64
        Band of effective leverage, known at the close of each bar for the step that follows.
    settings : dict
        Simulation settings it was made for; ``gearing.backtest`` takes those that are not given.
    """

    lower: np.ndarray
    upper: np.ndarray
    share: float
    bound: float
    settings: dict[str, Any] = field(default_factory=dict)
    required_columns = (LOWER, UPPER, "effective_leverage")

    def join(self, table: FeatureTable) -> FeatureTable:
        """The table with the band as columns; a table of other bars than the market's is refused."""
        if len(table.open_time) != len(self.lower):
            raise ValueError(
                f"the oracle knows {len(self.lower)} bars, the table has {len(table.open_time)}; "
                "use the market that the oracle was made from."
            )
        for name, band in ((LOWER, self.lower), (UPPER, self.upper)):
            table = table.join(name, band, unit="leverage", lower=-200.0, upper=200.0)
        return table

    def choose(self, observation: Columns) -> np.ndarray:
        """Target leverage of the margin share; NaN (hold) where the held leverage lies inside the band."""
        lower, upper, held = (values(observation, name) for name in self.required_columns)
        target = np.clip(held, lower, upper)
        inside = (held >= lower) & (held <= upper)
        return np.where(inside, np.nan, np.clip(target / self.share, -self.bound, self.bound))


def oracle_policy(market: MarketData) -> OraclePolicy:
    """The oracle of a synthetic market as a policy; ``gearing.backtest(oracle_policy(market), market)`` runs it.

    Parameters
    ----------
    market : MarketData
        Market A (with costs, no-trade bands), market B (frictionless), or a synthetic book (frictionless, on one
        cross-margin account).

    Raises
    ------
    ValueError
        If the market is not synthetic.
    """
    market_list(market)
    if is_book(market):
        return _book_policy(market)
    if _kind(market) == "market-a":
        assert market.truth is not None
        oracle, state = oracle_for(market), market.truth["state_at_close"]
        settings = market_a_settings()
        share, bound = settings["margin_share"], settings["max_leverage"]
        return OraclePolicy(oracle.lower[state], oracle.upper[state], share, bound, settings)
    settings = market_b_settings()
    best = oracle_leverage(market, max_leverage=settings["max_leverage"])
    following = _of_next_bar(best)
    return OraclePolicy(following, following, 1.0, settings["max_leverage"], settings)


def _book_policy(market: MarketData) -> OraclePolicy:
    if str((market.truth or {})["generator"]) == "book-floor":
        raise ValueError(
            "the best book of book-floor depends on the account's drawdown: scale that of book-merton with "
            "gearing.policies.controls.DrawdownFloor instead."
        )
    settings, following = book_settings(), _of_next_bar(best_exposures(market))
    return OraclePolicy(following, following, 1.0 / market.n_contracts, settings["max_leverage"], settings)


def oracle_path_growth(market: MarketData) -> np.ndarray:
    """Realised log growth of each bar under the oracle, shape (n_bars,): the reference of regret.

    Market A: with costs. Market B: frictionless, leverage at most 10.
    """
    _refuse_books(market)
    if _kind(market) == "market-a":
        return path_growth(market, oracle_for(market))
    best = oracle_leverage(market, max_leverage=market_b_settings()["max_leverage"])
    return path_growth_of_targets(market, best[:, 0], cost=0.0)


def state_table(market: MarketData) -> FeatureTable:
    """The hidden state in which the next step begins, as columns.

    Market A (task A-full): drift, volatility (diffusive) and jumps, all a year, and funding per step. Market B: drift,
    volatility and funding, all that its oracle reads; the rate is what settles at the close of the next bar, mostly
    0. The last bar, which no step follows, has its own state.
    """
    _refuse_books(market)
    if _kind(market) == "market-a":
        columns = _state_a(market)
    else:
        assert market.truth is not None
        known = {
            "drift": (market.truth["drift"], 5.0),
            "volatility": (np.sqrt(market.truth["variance"]), 5.0),
            "funding": (market.truth["funding"], 0.01),
        }
        columns = {name: (_of_next_bar(values), limit) for name, (values, limit) in known.items()}
    bound = np.array([limit for _, limit in columns.values()], np.float32)
    lower = np.where([name in ("volatility", "jumps") for name in columns], np.float32(0.0), -bound)
    return FeatureTable(
        market.open_time, market.bar, market.symbols, tuple(columns),
        np.stack([values for values, _ in columns.values()], axis=-1).astype(np.float32),
        lower, bound, tuple("per step" if name == "funding" else "a year" for name in columns), closes=market.close,
    )  # fmt: skip


def _state_a(market: MarketData) -> dict[str, tuple[np.ndarray, float]]:
    """Columns of market A's state and their bounds."""
    from gearing.market.synthetic.market_a import from_json

    assert market.truth is not None
    model, state = from_json(str(market.truth["parameters"])), market.truth["state_at_close"]
    # Raveled: numpy 2.4.6 returns wrong parts for long two-dimensional index arrays.
    drift, volatility, level = (
        part.reshape(state.shape) for part in np.unravel_index(state.ravel(), model.shape)
    )
    return {
        "drift": (np.asarray(model.drift)[drift], 5.0),
        "volatility": (np.asarray(model.volatility)[volatility], 5.0),
        "jumps": (np.asarray(model.jumps_a_year)[volatility], 500.0),
        "funding": (np.asarray(model.funding)[level], 0.01),
    }


def _of_next_bar(values: np.ndarray) -> np.ndarray:
    """Values of the bar that follows each close."""
    return np.vstack([values[1:], values[-1:]])


def _refuse_books(market: MarketData) -> None:
    market_list(market)
    if is_book(market):
        raise ValueError(
            f"{market.name} is a book; its oracle is oracle_growth, oracle_leverage and oracle_policy. Regret and "
            "known states are those of market-a and market-b."
        )


def _kind(market: MarketData) -> str:
    market_list(market)
    if not market.truth or "generator" not in market.truth:
        raise ValueError(
            f"{market!r} has no known parameters; an oracle needs a synthetic market-a or market-b."
        )
    return str(market.truth["generator"])
