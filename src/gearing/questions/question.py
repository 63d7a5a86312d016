"""What the published questions share: their config, bootstrap intervals and how tables, lines and figures show them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from gearing.drawing import percent
from gearing.evaluation.statistics.bootstrap import block_mean
from gearing.features import parse_duration
from gearing.market.data import MarketData
from gearing.market.timing import DAY
from gearing.studies.experiment import ExperimentConfig
from gearing.studies.sections import Exchange, Market
from gearing.studies.work import Work

_LEAST_BLOCK = 20.0  # days
_FEWEST_STARTS = 3  # of positions held for a horizon
_BAND = 0.18  # opacity of an interval


@dataclass(frozen=True)
class Bootstrap:
    """Seed and number of resamples of the 95 % intervals."""

    seed: int = 0
    replications: int = 500

    @property
    def settings(self) -> dict[str, int]:
        """As keyword arguments of the functions in `gearing.evaluation.statistics`."""
        return asdict(self)

    def mean(
        self, name: str, values: np.ndarray, mean_block: float, weights: np.ndarray | None = None
    ) -> dict[str, float]:
        """A mean with its interval as the columns ``name``, ``name_low`` and ``name_high``; see `block_mean`."""
        found = block_mean(values, mean_block, weights=weights, **self.settings)
        return dict(zip((name, f"{name}_low", f"{name}_high"), found, strict=True))


BOOTSTRAP = Bootstrap()


class Question(ExperimentConfig):
    """An experiment on one or several contracts under one exchange.

    Attributes
    ----------
    replications, seed
        Of the bootstraps.
    """

    market: Market
    exchange: Exchange = Exchange()
    replications: int = Field(default=500, ge=100)
    seed: int = 0

    @property
    def bootstrap(self) -> Bootstrap:
        """Seed and replications of every interval."""
        return Bootstrap(self.seed, self.replications)


def by_contract(
    work: Work, name: str, markets: Mapping[str, MarketData], make: Callable[[MarketData], pd.DataFrame]
) -> pd.DataFrame:
    """One table of all contracts; each contract's rows are a part of the experiment."""
    parts = {symbol: work.part(f"{name}-{symbol}", partial(make, part)) for symbol, part in markets.items()}
    return pd.concat(parts, names=["contract"])


def days_of(horizon: str) -> float:
    """Length of a horizon [days]."""
    return float(parse_duration(horizon) / DAY)


def fitting(horizons: Iterable[str], market: MarketData) -> list[str]:
    """Horizons that several daily starts of a market fit into.

    Raises
    ------
    ValueError
        If there is none.
    """
    given = list(horizons)
    span = float((market.close_time[-1] - market.open_time[0]) / DAY)
    found = [horizon for horizon in given if days_of(horizon) + _FEWEST_STARTS < span]
    if not found:
        raise ValueError(
            f"{market!r} spans {span:.0f} days; positions held for {', '.join(given)} do not fit into it. Load a "
            "longer history or shorten the horizons."
        )
    return found


def block_of(horizon: str) -> float:
    """Mean block for daily starts that are held for a horizon, and so share most of it [days]."""
    return max(_LEAST_BLOCK, days_of(horizon))


def with_interval(row: Any, name: str, spec: str) -> str:
    """A number of a row with its interval as text."""
    low, high = interval_of(row, name)
    return f"{row[name]:{spec}} [{low:{spec}}, {high:{spec}}]"


def interval_of(rows: Any, name: str) -> tuple[Any, Any]:
    """Bounds of a column's interval: the columns ``name_low`` and ``name_high``, or ``low`` and ``high``."""
    prefix = f"{name}_" if f"{name}_low" in rows else ""
    return rows[f"{prefix}low"], rows[f"{prefix}high"]


def metrics_of(values: pd.Series) -> dict[str, float]:
    """A column as metrics of a tracked run, named by its index as in BTC/2020; what is not known is left out."""
    known: Any = values.dropna()
    return {"/".join(map(str, as_tuple(key))): float(x) for key, x in known.items()}


def as_tuple(key: Any) -> tuple[Any, ...]:
    """The parts of an index key, of one level or several."""
    return key if isinstance(key, tuple) else (key,)


def levels(table: pd.DataFrame, name: str) -> list[Any]:
    """Values of an index level in the order of the rows."""
    return list(dict.fromkeys(table.index.get_level_values(name)))


def line_with_band(panel: Any, rows: Any, name: str, **style: Any) -> None:
    """Draw a column over the index, its interval shaded."""
    panel.plot(rows.index, rows[name], **style)
    low, high = (bound.astype(float) for bound in interval_of(rows, name))
    panel.fill_between(rows.index, low, high, color=style["color"], alpha=_BAND, lw=0)


def share_panel(panel: Any) -> None:
    """Let the vertical axis be shares from 0 to 100 %."""
    panel.set_ylim(0.0, 1.0)
    percent(panel.yaxis)
