"""The conformance suite of features: ``check_feature``.

A feature may use past bars only, and no more of them than it declares. The test suite runs this on every registered
feature, so a new one is covered automatically.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import gcd
from typing import TYPE_CHECKING, Any

import numpy as np

from gearing.features.feature import Feature, get_feature, registered_features
from gearing.market import MarketData
from gearing.market.data import market_list
from gearing.market.timing import DAY, YEAR, text
from gearing.names import shown

if TYPE_CHECKING:
    import pandas as pd

RELATIVE = 1e-10
SPARE = 30 * DAY  # history beyond the lookback, so that values and futures can be compared
CUTS = 24  # rows that are tried: a fault in one bar of a day is met
MOST_OUTSIDE = 0.01  # share of values that may lie beyond the bounds: tables clip and count them


class FeatureError(AssertionError):
    """A feature breaks one of the requirements; the message lists all of them."""


@dataclass(frozen=True, eq=False)
class _Trial:
    """A feature on a market, and its values there (n_bars, n_contracts)."""

    feature: Feature
    market: MarketData
    values: np.ndarray
    fingerprint: str  # of the market, before the feature read it

    @property
    def needed(self) -> int:
        """Bars of the declared lookback, the row's own bar included."""
        return self.feature.lookback_bars(self.market.bar)

    @property
    def rows(self) -> list[int]:
        """Rows behind the warm-up at which futures are rewritten and histories are cut.

        Their step shares no factor with 24 or 7, so that they meet every hour of the day and every seventh bar.
        """
        first, last = self.needed, self.market.n_bars - 2
        longest = max((last - first) // CUTS, 1)
        step = next(step for step in range(longest, 0, -1) if gcd(step, 24 * 7) == 1)
        return sorted({*range(first, last + 1, step)[:CUTS], last})

    def place(self, row: int, contract: int) -> str:
        """The bar and column of a value, in words."""
        return f"{self.market.symbols[contract]} at the close of {text(self.market.close_time[row])} UTC"


def check_feature(
    feature: str | Feature | Callable[..., Any],
    market: MarketData | None = None,
    *,
    raises: bool = True,
) -> pd.DataFrame:
    """Check a feature: that it knows no future, needs no more than its lookback, and returns what it declares.

    Parameters
    ----------
    feature : str, Feature or function
        The name of a registered feature, the feature, or a function that ``gearing.feature`` has decorated.
    market : MarketData, optional
        Longer than the lookback. Default: synthetic market B with two contracts and random values for the optional
        data that the feature needs.
    raises : bool
        Whether to raise at the end if anything is broken.

    Returns
    -------
    DataFrame
        One row per requirement: ``passed``, and ``broken`` with the reason, the first bar and the contract.

    Raises
    ------
    FeatureError
        Listing every requirement that is broken, and what to do.
    TypeError
        For anything that is no feature.

    Examples
    --------
    >>> bool(check_feature("log_return").passed.all())
    True
    """
    chosen = _feature_of(feature)
    market = _default_market(chosen) if market is None else market_list(market)[0]
    needed = chosen.lookback_bars(market.bar)
    if market.n_bars < needed + 4:
        raise ValueError(
            f"feature {chosen.name!r} looks back over {needed} bars; a check takes at least {needed + 4}, the market "
            f"has {market.n_bars}. Give a longer one."
        )
    findings = _findings(chosen, market)
    broken = {name: reason for name, reason in findings.items() if reason}
    if broken and raises:
        lines = "\n".join(f"  {name}: {reason}" for name, reason in broken.items())
        raise FeatureError(f"feature {chosen.name!r} breaks {len(broken)} of {len(findings)}:\n{lines}")
    import pandas as pd

    rows = [(name, not reason, reason) for name, reason in findings.items()]
    return pd.DataFrame(rows, columns=["requirement", "passed", "broken"]).set_index("requirement")


def _findings(feature: Feature, market: MarketData) -> dict[str, str]:
    """The reason why each requirement is broken, "" where it holds."""
    fingerprint = market.replace().fingerprint  # a market computes its own once
    try:
        values = feature(market)
    except Exception as error:
        reason = f"{error}" or type(error).__name__
        if "read-only" in reason:
            return {_LEAVES_ALONE: f"it writes into the market ({reason}): change a copy"}
        return {_COMPUTES: reason}
    trial = _Trial(feature, market, values, fingerprint)
    found = {_COMPUTES: "", _LEAVES_ALONE: _leaves_alone(trial), _DETERMINISTIC: _deterministic(trial)}
    if any(found.values()):
        return found  # the others compare calls, which must differ by the market alone
    for name, check in _CHECKS.items():
        try:
            found[name] = check(trial)
        except Exception as error:
            found[name] = f"it fails on a part of the market: {error or type(error).__name__}"
    return found


def _feature_of(given: Any) -> Feature:
    if isinstance(given, Feature):
        return given
    if isinstance(given, str):
        return get_feature(given)
    for known in registered_features():
        if callable(given) and given in (known.compute, getattr(known.compute, "compute", None)):
            return known
    raise TypeError(
        f"{shown(given)} is no feature; give the name of a registered one, or a function that is decorated with "
        "gearing.feature(...)."
    )


def _default_market(feature: Feature) -> MarketData:
    """A market that is longer than the lookback and has the optional data that the feature needs."""
    from gearing.market.synthetic.generators import synthetic_market

    hour = np.timedelta64(3_600_000, "ms")
    span = feature.lookback_bars(hour) * hour + SPARE
    market = synthetic_market("market-b", seed=3, years=float(span / YEAR), contracts=("A", "B"))
    rng, shape = np.random.default_rng(0), (market.n_bars, market.n_contracts)
    optional: dict[str, np.ndarray] = {
        "index": market.last * np.exp(rng.normal(0.0, 1e-4, (*shape, 1))),
        "implied_volatility": rng.uniform(0.4, 0.8, shape),
        "predicted_rate": rng.normal(1e-4, 1e-4, shape),
    }
    missing = {name: optional[name] for name in feature.needs if getattr(market, name, None) is None}
    return market.replace(**missing) if missing else market


def rewrite_future(market: MarketData, row: int, seed: int = 0) -> MarketData:
    """The market with everything after the close of bar ``row`` replaced at random.

    Prices, mark, volume, optional data and the settlements stamped at that close or later all change.
    """
    rng = np.random.default_rng(seed)
    ahead, n = slice(row + 1, None), market.n_bars - row - 1
    jump = np.exp(rng.normal(0.0, 0.1, (n, market.n_contracts)).cumsum(axis=0))
    changes: dict[str, Any] = {
        name: _rescaled(values, ahead, jump)
        for name in ("last", "mark", "index", "volume", "implied_volatility", "predicted_rate")
        if (values := getattr(market, name)) is not None
    }
    settlements = market.settlements.copy()
    later = settlements["time"] >= market.open_time[row] + market.bar
    settlements["rate"][later] = rng.normal(0.0, 0.01, later.sum())
    return replace(market, settlements=settlements, **changes)


def _rescaled(values: np.ndarray, ahead: slice, jump: np.ndarray) -> np.ndarray:
    changed = values.copy()
    changed[ahead] *= jump if values.ndim == 2 else jump[:, :, None]
    if values.ndim == 3:
        changed[ahead, :, 1] *= 1.03  # wider bars stay valid bars
        changed[ahead, :, 2] *= 0.96
    return changed


def _first_change(before: np.ndarray, after: np.ndarray) -> tuple[int, int] | None:
    """Row and contract of the first value that changed in any bit, None where none did."""
    changed = np.argwhere(before.view(np.int64) != after.view(np.int64))
    return None if changed.size == 0 else (int(changed[0][0]), int(changed[0][1]))


def _no_future(trial: _Trial) -> str:
    for row in trial.rows:
        after = trial.feature(rewrite_future(trial.market, row))[: row + 1]
        change = _first_change(trial.values[: row + 1], after)
        if change is not None:
            return (
                f"it uses future bars: its value of {trial.place(*change)} changed with the bars after "
                f"{text(trial.market.close_time[row])}. Use bars up to the row's own, and settlements before its close"
            )
    return ""


def _no_length(trial: _Trial) -> str:
    for row in trial.rows:
        cut = trial.feature(trial.market.rows(0, row + 1))
        change = _first_change(trial.values[: row + 1], cut)
        if change is not None:
            return (
                f"it depends on where the data end: its value of {trial.place(*change)} is another one on the market "
                f"up to {text(trial.market.close_time[row])}. Use no totals or means over all bars"
            )
    return ""


def _lookback(trial: _Trial) -> str:
    for row in trial.rows:
        short = trial.feature(trial.market.rows(row - trial.needed + 1, row + 1))[-1]
        full = trial.values[row]
        wrong = ~np.isclose(short, full, rtol=RELATIVE, atol=0.0, equal_nan=True)
        if wrong.any():
            k = int(wrong.argmax())
            return (
                f"its value of {trial.place(row, k)} is {short[k]:g} from its declared lookback of {trial.needed} bars "
                f"but {full[k]:g} from the whole history: declare a longer lookback, or make its windows independent "
                "of what came before them"
            )
    return ""


def _deterministic(trial: _Trial) -> str:
    change = _first_change(trial.values, trial.feature(trial.market))
    if change is None:
        return ""
    return f"a second call gives another value of {trial.place(*change)}: draw nothing, keep no state"


def _leaves_alone(trial: _Trial) -> str:
    same = trial.market.replace().fingerprint == trial.fingerprint
    return "" if same else "it changes the market that it reads: change a copy"


def _finite(trial: _Trial) -> str:
    begun, traded = np.arange(trial.market.n_bars) >= trial.needed - 1, trial.market.tradable
    bad = np.argwhere(~np.isfinite(trial.values) & traded & begun[:, None])
    if bad.size == 0:
        return ""
    row, k = (int(i) for i in bad[0])
    return (
        f"its value of {trial.place(row, k)} is {trial.values[row, k]}, after a lookback of {trial.needed} bars: guard "
        "logarithms and divisions, or declare a longer lookback"
    )


def _bounds(trial: _Trial) -> str:
    feature = trial.feature
    finite = np.isfinite(trial.values)
    outside = finite & ((trial.values < feature.lower) | (trial.values > feature.upper))
    share = float(outside.sum()) / max(int(finite.sum()), 1)
    if share <= MOST_OUTSIDE:
        return ""
    row, k = (int(i) for i in np.argwhere(outside)[0])
    return (
        f"{100.0 * share:.0f} % of its values lie beyond its bounds [{feature.lower:g}, {feature.upper:g}], the first, "
        f"{trial.values[row, k]:g}, of {trial.place(row, k)}: declare wider bounds"
    )


_COMPUTES = "returns (n_bars, n_contracts)"
_DETERMINISTIC = "is deterministic"
_LEAVES_ALONE = "does not write into the market"
_CHECKS: dict[str, Callable[[_Trial], str]] = {
    "does not use the future": _no_future,
    "does not depend on where the data end": _no_length,
    "needs no more than its lookback": _lookback,
    "is finite after its lookback": _finite,
    "stays within its bounds": _bounds,
}
