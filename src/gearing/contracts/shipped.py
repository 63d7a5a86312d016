"""Dated margin tiers shipped with the package."""

import json
import math
from collections.abc import Mapping
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any

from gearing.contracts.tiers import MarginTier, TierSchedule
from gearing.names import did_you_mean

_KEYS = ("min_notional", "max_notional", "maintenance_margin_rate", "maintenance_amount", "max_leverage")


def read_data(name: str) -> dict[str, Any]:
    """Read a JSON file of ``gearing/contracts/data``."""
    return json.loads(files("gearing.contracts").joinpath("data", name).read_text(encoding="utf-8"))


@cache
def _shipped() -> dict[str, tuple[TierSchedule, ...]]:
    snapshots = sorted(read_data("binance-usdm-tiers.json")["snapshots"], key=lambda s: s["as_of"])
    symbols = sorted({symbol for snapshot in snapshots for symbol in snapshot["contracts"]})
    return {
        symbol: tuple(
            TierSchedule(
                tuple(MarginTier(*map(float, row)) for row in snapshot["contracts"][symbol]),
                date.fromisoformat(snapshot["as_of"]),
                snapshot["source"],
            )
            for snapshot in snapshots
            if symbol in snapshot["contracts"]
        )
        for symbol in symbols
    }


def shipped_symbols() -> tuple[str, ...]:
    """Symbols whose margin tiers ship with the package."""
    return tuple(_shipped())


def shipped_schedules(symbol: str) -> tuple[TierSchedule, ...]:
    """Return the dated Binance USDT-M tiers of a symbol, ascending by date.

    Raises
    ------
    ValueError
        For a symbol that is not shipped; the message names the nearest one.
    """
    table = _shipped()
    if symbol not in table:
        raise ValueError(f"no margin tiers ship for {symbol!r}.{did_you_mean(symbol.upper(), table)}")
    return table[symbol]


def schedule_from_rows(rows: Any, as_of: date | None, source: str, where: str = "") -> TierSchedule:
    """Build a schedule from rows in the layout of exported brackets.

    Parameters
    ----------
    rows : sequence of mappings
        Keys ``min_notional, max_notional, max_leverage, maintenance_margin_rate, maintenance_amount``; ``max_notional``
        may be null where it is unbounded.
    source : str
        Stored with the schedule.
    where : str
        File and place in it, for messages; ``source`` by default.

    Raises
    ------
    ValueError
        For rows of another form, or tiers that no venue can have.
    """
    where = where or source
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise ValueError(f"{where}: margin tiers are a list of objects with {', '.join(_KEYS)}.")
    tiers = [
        [_number(row, key, f"{where}, tier {number}") for key in _KEYS] for number, row in enumerate(rows, 1)
    ]
    try:
        return TierSchedule(tuple(MarginTier(*values) for values in tiers), as_of, source)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _number(row: Mapping[str, Any], key: str, where: str) -> float:
    if key not in row:
        raise ValueError(f"{where}: has no {key!r}; it needs {', '.join(_KEYS)}.")
    value = row[key]
    if value is None and key == "max_notional":
        return math.inf
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e300:
        raise ValueError(f"{where}: {key} is {value!r:.40}; it must be a number.")
    return float(value)
