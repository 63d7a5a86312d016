"""Refuse bars that end in a jump: a wrong price looks like one, and a right one is no time for a rule."""

from collections import deque
from typing import Any

import numpy as np

from gearing.export.bundle.files import BundleError
from gearing.export.reading.table import Table

MAX_JUMP = 30.0  # standard deviations of a bar's log return
OFF = "off"
_MOST_BARS = 1000  # before, over which the standard deviation is taken
_FEW, _UNKNOWN = 20, 0.01  # with fewer bars before, a deviation of 1 % an hour is assumed
_LEAST = 0.001  # a calm market moves at least this much
_HOUR = np.timedelta64(3_600_000, "ms")


def check_jumps(bars: Table, symbol: str, recent: int, bar: np.timedelta64, limit: float | str) -> None:
    """Check the prices of the last bars against the close before each.

    The standard deviation is that of the log returns of up to 1,000 bars before, the largest and smallest hundredth
    cut to their quantiles; at least 0.1 %, and 1 % an hour where fewer than 20 bars are given before.

    Parameters
    ----------
    bars : Table
        Ascending; the last row is the bar whose close decides.
    recent : int
        Bars checked: those since the decision before.
    limit : float or "off"
        Largest move, in standard deviations.

    Raises
    ------
    BundleError
        For a larger one.
    """
    most = read_max_jump(limit)
    for prefix in ("", "mark_", "index_"):
        columns = [f"{prefix}{price}" for price in ("open", "high", "low", "close")]
        if most is None or not set(columns) <= bars.columns.keys():
            continue
        prices = bars.stacked(columns)[-(_MOST_BARS + recent + 1) :]
        if not (np.isfinite(prices) & (prices > 0.0)).all():
            continue  # which reading the market refuses
        _check_prices(np.log(prices), bars["open_time"], symbol, prefix, recent, bar, most)


def _check_prices(
    logs: np.ndarray,
    opened: np.ndarray,
    symbol: str,
    prefix: str,
    recent: int,
    bar: np.timedelta64,
    most: float,
) -> None:
    recent = min(recent, len(logs))
    before = np.concatenate([logs[:1, 0], logs[:-1, 3]])[
        -recent:, None
    ]  # of the first bar given, its own open
    moves = logs[-recent:] - before
    deviation = _deviation(np.diff(logs[: len(logs) - recent, 3]), bar)
    k, column = np.unravel_index(np.abs(moves).argmax(), moves.shape)
    size = float(abs(moves[k, column]))
    if size > most * deviation:
        price = ("open", "high", "low", "close")[column]
        raise BundleError(
            f"bars of {symbol}: {prefix}{price} of the bar that opens at {opened[len(opened) - recent + k]} is "
            f"{np.exp(moves[k, column]):.4g} times the close before, {size / deviation:.0f} standard deviations of a "
            f"bar ({deviation:.2%}); more than {most:g} is taken for a wrong price. Check the bars; if they are right, "
            f"raise max_jump= (--max-jump), or set it to {OFF!r}.",
            "jump",
        )


def _deviation(returns: np.ndarray, bar: np.timedelta64) -> float:
    if returns.size < _FEW:
        return max(_LEAST, _UNKNOWN * float(np.sqrt(bar / _HOUR)))
    low = np.quantile(returns, 0.01, method="higher")  # never the single largest
    high = np.quantile(returns, 0.99, method="lower")
    return max(_LEAST, float(np.clip(returns, low, high).std()))


def read_max_jump(given: float | str) -> float | None:
    """Largest move in standard deviations; None for `OFF`.

    Raises
    ------
    BundleError
        If it is no positive number.
    """
    if given == OFF:
        return None
    try:
        limit = np.nan if isinstance(given, bool) else float(given)
    except (TypeError, ValueError):
        limit = np.nan
    if not limit > 0.0:
        raise BundleError(
            f"max_jump is {given!r}; give a positive number of standard deviations, or {OFF!r} (--max-jump)."
        )
    return limit


class JumpWatch:
    """The same check bar by bar.

    Parameters
    ----------
    market : MarketData
        The look-back.
    limit : float or "off"
    """

    def __init__(self, market: Any, limit: float | str):
        self._most, self._bar = read_max_jump(limit), market.bar
        self._closes = deque(np.log(market.close[-_MOST_BARS:]), maxlen=_MOST_BARS)

    def check(self, prices: np.ndarray, j: int, symbol: str) -> None:
        """Refuse open, high, low and close (4,) of a contract's next bar that jump from the close before."""
        if self._most is None:
            return
        move = float(np.abs(np.log(prices) - self._closes[-1][j]).max())
        if move <= self._most * _LEAST:  # no deviation is smaller
            return
        deviation = _deviation(np.diff(np.array(self._closes)[:, j]), self._bar)
        if move > self._most * deviation:
            raise BundleError(
                f"bar of {symbol}: a price is {np.exp(move):.4g} times the close before or its inverse, "
                f"{move / deviation:.0f} standard deviations of a bar ({deviation:.2%}); more than {self._most:g} is "
                f"taken for a wrong price. Check the bar; if it is right, raise max_jump=, or set it to {OFF!r}.",
                "jump",
            )

    def add(self, prices: np.ndarray) -> None:
        """Remember the closes of a bar (n_contracts, 4)."""
        self._closes.append(np.log(prices[:, 3]))
