"""Trades of a backtest: from flat to flat, or from one side to the other."""

from typing import Any

import numpy as np
import pandas as pd

from gearing.evaluation.result import BacktestResult

_PARTS = ("price_pnl", "fees", "funding", "liquidation")
_EXITS = {"liquidations": "liquidation", "stops": "stop", "take_profits": "take profit"}
COLUMNS = ("contract", "side", "opened", "closed", "leverage", *_PARTS, "pnl", "return", "exit")


def trades(result: BacktestResult) -> pd.DataFrame:
    """Every trade of a backtest.

    A trade begins with the fill that opens a side and ends with the one that closes it; several re-entries after stops
    within one side are several trades. The fee of a flip belongs to the trade it opens.

    Returns
    -------
    DataFrame
        ``opened`` and ``closed`` are the moments of fills at the open of a bar; what ends a trade inside a bar, a
        liquidation or a resting order, is dated by the open of that bar. ``leverage`` is the target at the entry,
        ``return`` the trade's PnL over equity before it, ``exit`` one of liquidation, stop, take profit, decision, open
        (at the end of the data).
    """
    rows: list[dict[str, Any]] = []
    for slot, name in enumerate(result.slots):
        for first, last in _spans(result, slot):
            rows.append({"contract": name, **_trade(result, slot, first, last)})
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.sort_values(["opened", "contract"], kind="stable").reset_index(drop=True)


def _spans(result: BacktestResult, slot: int) -> list[tuple[int, int]]:
    """First and last interval of each trade."""
    ledgers: Any = result.ledgers[:, slot]
    held = result.leverage[:, slot] != 0.0
    side = np.sign(np.nan_to_num(result.target[:, slot]))
    spans: list[tuple[int, int]] = []
    begun: int | None = None
    way = 0.0
    for k in range(result.end):
        flips = side[k] not in (way, 0.0) and not np.isnan(result.target[k, slot])
        if begun is not None and (flips or _replaced(ledgers[k], begun < k and held[k])):
            spans.append((begun, k - 1))
            begun = None
        if begun is None and (held[k] or ledgers.fills[k] > 0 or ledgers.liquidations[k] > 0):
            begun, way = k, side[k]
        if begun is not None and not held[k]:
            spans.append((begun, k))
            begun = None
    if begun is not None:
        spans.append((begun, result.end - 1))
    return [(a, b) for a, b in spans if b >= a]


def _replaced(ledger: Any, held: bool) -> bool:
    """Whether a position was liquidated at the first open of an interval, which a gap does, and opened again there."""
    return bool(held and ledger.liquidations and not ledger.partial_liquidations)


def _trade(result: BacktestResult, slot: int, first: int, last: int) -> dict[str, Any]:
    rows = result.ledgers[first : last + 1, slot]
    parts = {name: float(rows[name].sum()) for name in _PARTS}
    pnl = sum(parts.values())
    leverage = result.target[first, slot]
    return {
        "side": "long" if leverage > 0.0 else "short",
        "opened": result.time[first],
        "closed": _closed(result, slot, last),
        "leverage": abs(float(leverage)),
        **parts,
        "pnl": pnl,
        "return": pnl / float(result.equity[first]),
        "exit": _exit(result, slot, last),
    }


def _closed(result: BacktestResult, slot: int, last: int) -> np.datetime64:
    """When a trade ended: inside its last interval, or at the decision after it, which turned the side."""
    flat_at = result.time[last + 1] if result.flat_at is None else result.flat_at[last, slot]
    return result.time[last + 1] if np.isnat(flat_at) else flat_at


def _exit(result: BacktestResult, slot: int, last: int) -> str:
    for column, name in _EXITS.items():
        if result.ledgers[last, slot][column]:
            return name
    still = last + 1 == result.end and result.leverage[last, slot] != 0.0
    return "open" if still else "decision"
