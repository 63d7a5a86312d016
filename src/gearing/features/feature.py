"""Features and their register.

A feature is a function of a market whose value at every bar is known at that bar's close. It declares its lookback,
so that a live process knows how many bars to fetch, and its bounds, so that an observation space is finite.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gearing.market import MarketData
from gearing.market.timing import bars_in, is_duration
from gearing.names import Register, shown

Compute = Callable[..., NDArray[np.float64]]


@dataclass(frozen=True)
class Feature:
    """A named causal function of a market.

    Parameters
    ----------
    name : str
    compute : callable
        ``compute(market)`` gives an array (n_bars, n_contracts); row k uses nothing after the close of bar k.
    lookback : tuple of str
        Durations that add up to the history needed before the row's own bar, such as ``("90d", "24h")``;
        "10x6h" is ten times six hours.
    unit, source : str
        Unit of the value and where its definition comes from.
    lower, upper : float
        Finite bounds; a value beyond them is clipped and counted when a table is made.
    needs : tuple of str
        Optional fields of the market it requires, such as ``("implied_volatility",)``.
    least : str, optional
        History from which on the feature has a value, from what there is of its lookback; the whole lookback by
        default.
    """

    name: str
    compute: Compute
    lookback: tuple[str, ...]
    unit: str
    lower: float
    upper: float
    source: str
    needs: tuple[str, ...] = ()
    least: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.lookback, tuple) or not all(isinstance(part, str) for part in self.lookback):
            raise TypeError(
                f"feature {self.name!r} declares the lookback {shown(self.lookback)}; it must be a tuple of "
                "durations such as ('24h',)."
            )
        if not (np.isfinite(self.lower) and np.isfinite(self.upper) and self.lower < self.upper):
            raise ValueError(
                f"feature {self.name!r} declares bounds [{self.lower}, {self.upper}]; "
                "both must be finite and the lower one smaller."
            )

    @property
    def origin(self) -> str:
        """Module of the function."""
        return getattr(self.compute, "compute", self.compute).__module__

    def lookback_bars(self, bar: np.timedelta64) -> int:
        """Bars needed for one value, the row's own bar included."""
        return 1 + sum(_bars(part, bar) for part in self.lookback)

    def least_bars(self, bar: np.timedelta64) -> int:
        """Bars from which on there are values, the row's own bar included."""
        whole = self.lookback_bars(bar)
        return whole if self.least is None else min(1 + _bars(self.least, bar), whole)

    def available(self, market: MarketData) -> bool:
        """Whether the market has the optional data this feature reads."""
        return all(getattr(market, field) is not None for field in self.needs)

    def __call__(self, market: MarketData) -> NDArray[np.float64]:
        """Values (n_bars, n_contracts), NaN until the declared lookback is full, or ``least`` of it.

        Raises
        ------
        ValueError
            If the market lacks data the feature needs, or the function returns another shape.
        """
        if not self.available(market):
            raise ValueError(
                f"feature {self.name!r} needs {', '.join(self.needs)}, which this market does not have."
            )
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.array(self.compute(market), dtype=np.float64)
        expected = (market.n_bars, market.n_contracts)
        if values.shape != expected:
            raise ValueError(f"feature {self.name!r} returned shape {values.shape}; it must be {expected}.")
        values[: self.least_bars(market.bar) - 1] = np.nan
        return values


@dataclass(frozen=True)
class _OfWindow:
    """A family's function at one window."""

    compute: Compute
    window: str

    def __call__(self, market: MarketData) -> NDArray[np.float64]:
        return self.compute(market, self.window)


FEATURES: Register[Feature] = Register("feature", "gearing.features")
FAMILIES: Register[Feature] = Register("family of features", "gearing.features")  # lookbacks name "{window}"


def feature(
    *,
    unit: str,
    lower: float,
    upper: float,
    source: str,
    lookback: str | Sequence[str],
    windows: Sequence[str] = (),
    name: str | None = None,
    needs: Sequence[str] = (),
    least: str | None = None,
) -> Callable[[Compute], Compute]:
    """Register the decorated function as a feature, or with ``windows`` as one feature per window.

    Parameters
    ----------
    lookback : str or sequence of str
        History before the row's bar; durations add up. With ``windows``, "{window}" stands for the window and
        "10x{window}" for ten of them.
    windows : sequence of str
        The function then takes ``(market, window)``; the members are named ``<name>_<window>``. Members for
        other windows are made when first requested by name.
    least : str, optional
        History from which on there are values, see :class:`Feature`.
    name : str, optional
        Defaults to the function's name.

    Examples
    --------
    >>> @feature(unit="log", lower=-1, upper=1, source="house", lookback="1bar")
    ... def close_gap(market):
    ...     return np.zeros((market.n_bars, market.n_contracts))
    """
    given = [lookback] if isinstance(lookback, str) else lookback
    parts: Any = tuple(given) if isinstance(given, Sequence) else given  # a feature checks its type

    def register(compute: Compute) -> Compute:
        label = name or compute.__name__
        declared = Feature(label, compute, parts, unit, lower, upper, source, tuple(needs), least)
        (FAMILIES if windows else FEATURES).add(label, declared, source=compute)
        for window in windows:
            _add_member(declared, window)
        return compute

    return register


share_feature = partial(feature, unit="share", lower=0.0, upper=1.0)


def _add_member(family: Feature, window: str) -> None:
    """Register the feature of one window: ``name_24h``, ``name_7d`` ..."""
    lookback = tuple(part.replace("{window}", window) for part in family.lookback)
    compute = _OfWindow(family.compute, window)
    member = replace(family, name=f"{family.name}_{window}", compute=compute, lookback=lookback)
    FEATURES.add(member.name, member, source=family.compute)


def get_feature(name: str) -> Feature:
    """The feature with that name.

    Raises
    ------
    ValueError
        For an unknown name; the message suggests the nearest.
    """
    if name not in FEATURES and is_feature(name):
        family, _, window = name.rpartition("_")
        _add_member(FAMILIES[family], window)
    return FEATURES[name]


def is_feature(name: str) -> bool:
    """Whether a column is computed from the market alone: a registered feature, or a family's with any window.

    Forecasts and account columns are not.
    """
    family, _, window = name.rpartition("_")
    return name in FEATURES or (family in FAMILIES and is_duration(window))


def registered_features() -> tuple[Feature, ...]:
    """All registered features, including those of entry points, in order of registration."""
    return tuple(FEATURES[name] for name in FEATURES.names())


def forget_feature(name: str) -> None:
    """Unregister a feature or a family (for notebooks and tests that define it again)."""
    for label in FEATURES.names():
        if label == name or (name in FAMILIES and label.startswith(f"{name}_")):
            FEATURES.remove(label)
    if name in FAMILIES:
        FAMILIES.remove(name)


def _bars(part: str, bar: np.timedelta64) -> int:
    """Bars of a duration; "10x6h" is ten times the bars of six hours."""
    times, cross, duration = part.rpartition("x")
    return bars_in(duration, bar) * (int(times) if cross else 1)
