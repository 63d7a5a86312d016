"""The contracts around a contract: what its market does.

Each column is computed from one quantity of every contract. `MARKET` says which, and how contracts are combined, so
that the rows of a pool and the features of a market come from the same rules. A contract alone is its own market:
without others their mean is its own value, its level is the market's, and it leads itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from gearing.features.families.panel.own import LEAST, MONTH, funding_of_window, level, traded_value
from gearing.features.feature import feature, get_feature
from gearing.features.windows import Array
from gearing.market import MarketData

Combine = Callable[[Array, Array], Array]  # of a quantity and of traded value, each (n_moments, n_contracts)
VALUE = "traded_value"  # the contract of which most is traded leads
SMALLEST_SPREAD = 1e-3


def others_mean(own: Array, _: Array) -> Array:
    """Mean over the other contracts that have a value; the contract's own where none has."""
    means = [_mean(np.delete(own, column, axis=1)) for column in range(own.shape[1])]
    mean = np.stack(means, axis=1)
    return np.where(np.isfinite(mean), mean, own)


def _mean(values: Array) -> Array:
    """Mean over the contracts that have a value (n_moments,), NaN where none has.

    Contracts are added one by one: a sum along an axis may take another order for one bar than for many.
    """
    total, count = np.zeros(len(values)), np.zeros(len(values))
    for column in values.T:
        present = np.isfinite(column)
        total, count = total + np.where(present, column, 0.0), count + present
    return np.where(count > 0.0, total / np.maximum(count, 1.0), np.nan)


def over_others(own: Array, value: Array) -> Array:
    """The contract's value less the mean of the others; zero alone."""
    return own - others_mean(own, value)


def others_or_zero(own: Array, value: Array) -> Array:
    """Mean over the other contracts, the contract's own, or zero, whichever is the first that is known."""
    return np.nan_to_num(others_mean(own, value))


def log_spread(own: Array, _: Array) -> Array:
    """Log of the standard deviation over contracts, the contract included; zero with fewer than three."""
    variance = _mean((own - _mean(own)[:, None]) ** 2)
    enough = np.isfinite(own).sum(axis=1) >= 3
    spread = np.where(enough, np.log(np.maximum(np.sqrt(variance), SMALLEST_SPREAD)), 0.0)
    return np.repeat(spread[:, None], own.shape[1], axis=1)


def of_leader(own: Array, value: Array) -> Array:
    """Value of the contract of which most is traded; the contract's own where that one has none."""
    leader = np.argmax(np.where(np.isfinite(value), value, -1.0), axis=1)
    leading = own[np.arange(len(own)), leader][:, None]
    return np.where(np.isfinite(leading), leading, own)


@dataclass(frozen=True)
class MarketColumn:
    """A column made of one quantity of all contracts.

    Attributes
    ----------
    quantity : str
        A name of `QUANTITIES`, or a feature.
    combine : callable
    lower, upper : float
    """

    quantity: str
    combine: Combine
    lower: float = -30.0
    upper: float = 30.0

    def of(self, market: MarketData) -> Array:
        """The column of a market (n_bars, n_contracts)."""
        made = self.combine(quantity(market, self.quantity), quantity(market, VALUE))
        return np.where(np.isfinite(level(market)), made, np.nan)


QUANTITIES: dict[str, Callable[[MarketData], Array]] = {
    "level": level,
    VALUE: traded_value,
    "funding_24h": lambda market: funding_of_window(market, "24h"),
    "funding_7d": lambda market: funding_of_window(market, "7d"),
}
MARKET: dict[str, MarketColumn] = {
    **{
        f"market_log_variance_{w}": MarketColumn(f"relative_log_variance_{w}", others_mean)
        for w in ("24h", "3d", "7d", "14d", "90d")
    },
    "market_ewma_log_variance_4d": MarketColumn("relative_ewma_log_variance_4d", others_mean),
    "market_log_volume_24h": MarketColumn("log_volume_over_month_24h", others_mean),
    "level_over_market": MarketColumn("level", over_others),
    "market_funding_24h": MarketColumn("funding_24h", others_or_zero),
    "market_funding_7d": MarketColumn("funding_7d", others_or_zero),
    "market_dispersion_24h": MarketColumn("scaled_return_24h", log_spread),
    **{f"leader_return_{w}": MarketColumn(f"scaled_return_{w}", of_leader) for w in ("24h", "7d", "30d")},
    **{f"leader_fall_{w}": MarketColumn(f"scaled_fall_{w}", of_leader) for w in ("24h", "7d", "30d")},
    **{f"leader_log_variance_{w}": MarketColumn(f"relative_log_variance_{w}", of_leader) for w in ("24h", "7d")},
}  # fmt: skip


def quantity(market: MarketData, name: str) -> Array:
    """A quantity of every contract (n_bars, n_contracts), NaN where it has none."""
    compute = QUANTITIES[name] if name in QUANTITIES else get_feature(name).compute
    with np.errstate(divide="ignore", invalid="ignore"):
        return compute(market)


def market_columns(quantities: Mapping[str, Array]) -> dict[str, Array]:
    """Every column of `MARKET` from the quantities of the contracts of a market, each (n_moments, n_contracts)."""
    return {name: one.combine(quantities[one.quantity], quantities[VALUE]) for name, one in MARKET.items()}


def needed_quantities() -> tuple[str, ...]:
    """Quantities that `MARKET` is made of, each once."""
    return tuple(dict.fromkeys([VALUE, *(one.quantity for one in MARKET.values())]))


def _function(column: MarketColumn) -> Callable[[MarketData], Array]:
    def of_market(market: MarketData) -> Array:
        """One quantity of all contracts, combined."""
        return column.of(market)

    return of_market


for _name, _column in MARKET.items():
    feature(
        unit="of the market",
        lower=_column.lower,
        upper=_column.upper,
        lookback=("1bar", MONTH, "90d"),
        least=LEAST,
        source="commonality of volatility: Bollerslev et al. (2018)",
        name=_name,
    )(_function(_column))
