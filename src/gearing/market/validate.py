"""Validation of MarketData; errors name series, contract, stamp, rule and value."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gearing.market.timing import label, text

FIELDS = ("open", "high", "low", "close")


def check_market(fields: Mapping[str, Any]) -> None:
    """Raise ValueError for the first rule that the fields of a market, by name, violate."""
    symbols, open_time, bar = [c.symbol for c in fields["contracts"]], fields["open_time"], fields["bar"]
    n, m = open_time.size, len(symbols)
    where = fields["name"] or "MarketData"
    if m == 0:
        raise ValueError(f"{where}: needs at least one contract.")
    if len(set(symbols)) != m:
        raise ValueError(f"{where}: contracts {', '.join(symbols)} are named twice.")
    check_grid(open_time, bar, where)
    for name in ("last", "mark", "index"):
        _check_shape(where, name, fields[name], (n, m, 4))
    for name in ("volume", "tradable", "predicted_rate", "implied_volatility"):
        _check_shape(where, name, fields[name], (n, m))
    for column, symbol in enumerate(symbols):
        live = fields["tradable"][:, column]
        for name in ("last", "mark", "index"):
            if fields[name] is not None:
                check_ohlc(fields[name][:, column], open_time, f"{where}: {name} of {symbol}", live)
        _check_volume(fields["volume"][:, column], open_time, f"{where}: volume of {symbol}", live)
    _check_volatility(fields["implied_volatility"], symbols, open_time, where)
    _check_settlements(fields["settlements"], symbols, (open_time[0], open_time[-1] + bar), where)
    for name, values in (fields["truth"] or {}).items():
        if (
            values.dtype.kind == "f"
            and values.ndim
            and values.shape[0] == n
            and not np.isfinite(values).all()
        ):
            raise ValueError(f"{where}: truth {name!r} has values that are not finite.")


def check_grid(open_time: np.ndarray, bar: np.timedelta64, where: str) -> None:
    """Stamps must ascend by exactly one bar, on multiples of the bar (weeks apart) since the epoch."""
    if open_time.ndim != 1 or open_time.size == 0:
        raise ValueError(
            f"{where}: open_time must be one row of at least one stamp, shape {open_time.shape} given."
        )
    if np.isnat(open_time).any():
        raise ValueError(
            f"{where}: open_time has a missing stamp at row {int(np.isnat(open_time).argmax())}."
        )
    steps = np.diff(open_time)
    if (bad := steps != bar).any():
        row = int(bad.argmax())
        before, after = text(open_time[row]), text(open_time[row + 1])
        if steps[row] == np.timedelta64(0, "ms"):
            raise ValueError(f"{where}: {before} is repeated (rows {row} and {row + 1}). Drop one of them.")
        if steps[row] < np.timedelta64(0, "ms"):
            raise ValueError(f"{where}: {after} follows {before} (row {row + 1}). Sort the rows by time.")
        if steps[row] % bar == np.timedelta64(0, "ms"):
            missing = int(steps[row] / bar) - 1
            raise ValueError(
                f"{where}: {missing} bar(s) of {label(bar)} missing between {before} and {after}. "
                "Choose a period without the gap, or fill it."
            )
        raise ValueError(f"{where}: {after} is off the grid of {label(bar)} bars (previous {before}).")
    if open_time[0].astype(np.int64) % min(int(bar.astype(np.int64)), 86_400_000):
        raise ValueError(
            f"{where}: first bar {text(open_time[0])} does not open on a multiple of {label(bar)} UTC."
        )


def check_ohlc(prices: np.ndarray, open_time: np.ndarray, where: str, live: np.ndarray | None = None) -> None:
    """Prices must be finite, positive and low <= open, close <= high in every live bar.

    Parameters
    ----------
    prices : array, shape (n_bars, 4)
    live : bool array, shape (n_bars,), optional
        Bars that must have prices; all by default.
    """
    live = np.ones(len(prices), bool) if live is None else live
    good = np.isfinite(prices) & (prices > 0.0)
    if (bad := ~good & live[:, None]).any():
        row, field = np.argwhere(bad)[0]
        raise ValueError(
            f"{where}: {FIELDS[field]} at {text(open_time[row])} is {prices[row, field]}; "
            "prices must be positive numbers."
        )
    opened, high, low, close = prices.T
    with np.errstate(invalid="ignore"):
        broken = live & ((high < np.maximum(opened, close)) | (low > np.minimum(opened, close)))
    if broken.any():
        row = int(broken.argmax())
        raise ValueError(
            f"{where}: at {text(open_time[row])} open {opened[row]}, high {high[row]}, low {low[row]}, "
            f"close {close[row]} break low <= open, close <= high."
        )


def _check_volume(volume: np.ndarray, open_time: np.ndarray, where: str, live: np.ndarray) -> None:
    bad = live & ~(np.isfinite(volume) & (volume >= 0.0))
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(f"{where}: {volume[row]} at {text(open_time[row])}; it must be zero or positive.")


def _check_volatility(
    values: np.ndarray | None, symbols: Sequence[str], open_time: np.ndarray, where: str
) -> None:
    """Implied volatility is positive, NaN where it is not known; ten (1,000 %) is a number in percent."""
    if values is None or not (bad := ~np.isnan(values) & ~((values > 0.0) & (values < 10.0))).any():
        return
    row, column = np.argwhere(bad)[0]
    raise ValueError(
        f"{where}: implied volatility of {symbols[column]} at {text(open_time[row])} is {values[row, column]}; give "
        "annualised fractions (0.5 for 50 %)."
    )


def _check_shape(where: str, name: str, array: np.ndarray | None, shape: tuple[int, ...]) -> None:
    if array is not None and array.shape != shape:
        raise ValueError(
            f"{where}: {name} has shape {array.shape}, expected {shape} (bars, contracts, fields)."
        )


def _check_settlements(
    rows: np.ndarray, symbols: Sequence[str], span: tuple[np.datetime64, np.datetime64], where: str
) -> None:
    if rows.size == 0:
        return
    if not ((rows["contract"] >= 0) & (rows["contract"] < len(symbols))).all():
        raise ValueError(f"{where}: settlements name a contract outside 0..{len(symbols) - 1}.")
    step = np.diff(rows["time"].astype(np.int64))
    if ((step < 0) | ((step == 0) & (np.diff(rows["contract"]) <= 0))).any():
        raise ValueError(f"{where}: settlements must be sorted by (time, contract), each pair once.")
    bad = ~np.isfinite(rows["rate"]) | (np.abs(rows["rate"]) >= 1.0)
    if bad.any():
        row = rows[int(bad.argmax())]
        raise ValueError(
            f"{where}: funding rate {row['rate']} of {symbols[row['contract']]} at "
            f"{text(row['time'])}; rates are fractions per settlement (0.0001 for 0.01 %)."
        )
    if (known := rows["mark"][~np.isnan(rows["mark"])]).size and not (known > 0.0).all():
        raise ValueError(f"{where}: a settlement's mark must be positive, or NaN where it is not known.")
    if rows["time"][0] < span[0] or rows["time"][-1] >= span[1]:
        raise ValueError(
            f"{where}: settlements must lie within the bars, from the first open to the last close."
        )
