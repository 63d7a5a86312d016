"""Dated margin tiers shipped with the package."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any

from gearing.contracts.tiers import MarginTier, TierSchedule
from gearing.names import did_you_mean


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


def schedule_from_rows(rows: Sequence[Mapping[str, Any]], as_of: date | None, source: str) -> TierSchedule:
    """Build a schedule from rows in the layout of exported brackets.

    Parameters
    ----------
    rows : sequence of mappings
        Keys ``min_notional, max_notional, max_leverage, maintenance_margin_rate, maintenance_amount``.
    """
    keys = ("min_notional", "max_notional", "maintenance_margin_rate", "maintenance_amount", "max_leverage")
    return TierSchedule(tuple(MarginTier(*(float(row[key]) for key in keys)) for row in rows), as_of, source)
