"""An ordered choice of features, and the table it computes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .feature import Feature, get_feature
from .table import FeatureTable, saturate

if TYPE_CHECKING:
    import pandas as pd

    from ..market import MarketData

GROUPS: dict[str, tuple[str, ...]] = {
    "default": (
        "log_return",
        "realized_volatility_24h",
        "realized_volatility_7d",
        "realized_volatility_30d",
        "atr_24h",
        "bollinger_width_20d",
        "bollinger_position_20d",
        "trend_7d",
        "momentum_30d",
        "funding_rate",
        "funding_carry_7d",
        "hour_sin",
        "hour_cos",
        "weekday_sin",
        "weekday_cos",
        "volatility_percentile_90d",
        "volume_ratio_7d",
    ),
}


class FeatureSet:
    """Features in a fixed order.

    Parameters
    ----------
    columns : str, or sequence of str and Feature
        Names of registered features or of groups ("default"), in the order of the table's columns.

    Examples
    --------
    >>> FeatureSet(["log_return", "realized_volatility_24h"]).columns
    ('log_return', 'realized_volatility_24h')
    """

    def __init__(self, columns: str | Sequence[str | Feature] = "default"):
        given = [columns] if isinstance(columns, str | Feature) else list(columns)
        self.features = tuple(_resolved(given))
        names = [f.name for f in self.features]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"a feature set names each column once, but {', '.join(twice)} came twice.")
        if not names:
            raise ValueError("a feature set needs at least one column.")

    @classmethod
    def default(cls) -> FeatureSet:
        """The columns every study has unless it names others."""
        return cls("default")

    @property
    def columns(self) -> tuple[str, ...]:
        """Names in order; ``FeatureSet(list(columns))`` is the same set again."""
        return tuple(f.name for f in self.features)

    def __repr__(self) -> str:
        return f"FeatureSet({list(self.columns)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FeatureSet) and self.columns == other.columns

    def __hash__(self) -> int:
        return hash(self.columns)

    def lookback(self, bar: np.timedelta64) -> int:
        """Bars that one complete row needs, its own bar included."""
        return max(f.lookback_bars(bar) for f in self.features)

    def compute(self, market: MarketData) -> FeatureTable:
        """The table of this set for every bar of the market.

        Raises
        ------
        ValueError
            If the market is shorter than the longest lookback.
        """
        self._refuse_short(market)
        values = np.empty((market.n_bars, market.n_contracts, len(self.features)), dtype=np.float32)
        saturated = {}
        for i, f in enumerate(self.features):
            values[:, :, i], saturated[f.name] = saturate(_quiet(f, market), f.lower, f.upper)
        return FeatureTable(
            open_time=market.open_time,
            bar=market.bar,
            symbols=tuple(market.symbols),
            columns=self.columns,
            values=values,
            lower=np.array([f.lower for f in self.features], dtype=np.float32),
            upper=np.array([f.upper for f in self.features], dtype=np.float32),
            units=tuple(f.unit for f in self.features),
            saturated=saturated,
        )

    def _refuse_short(self, market: MarketData) -> None:
        longest = max(self.features, key=lambda f: f.lookback_bars(market.bar))
        needed = longest.lookback_bars(market.bar)
        if market.n_bars < needed:
            raise ValueError(
                f"{longest.name!r} looks back over {needed} bars of {market.bar}, "
                f"the market has {market.n_bars}; load a longer history or leave that column out."
            )

    def spec_table(self) -> pd.DataFrame:
        """One row per column: unit, bounds, lookback and source."""
        import pandas as pd

        rows = [
            {
                "name": f.name,
                "unit": f.unit,
                "lower": f.lower,
                "upper": f.upper,
                "lookback": " + ".join(f.lookback),
                "source": f.source,
            }
            for f in self.features
        ]
        return pd.DataFrame(rows).set_index("name")


def _resolved(given: Sequence[str | Feature]) -> list[Feature]:
    chosen: list[Feature] = []
    for item in given:
        if isinstance(item, Feature):
            chosen.append(item)
        elif item in GROUPS:
            chosen.extend(get_feature(name) for name in GROUPS[item])
        else:
            chosen.append(get_feature(item))
    return chosen


def _quiet(f: Feature, market: MarketData) -> np.ndarray:
    """Values of a feature, with zeros where a contract that was traded is no more.

    Nobody can act there, and an observation must stay finite; before the listing NaN says "not yet".
    """
    values = f(market)
    ended = ~market.tradable & (np.cumsum(market.tradable, axis=0) > 0)
    values[ended] = np.clip(0.0, f.lower, f.upper)
    return values
