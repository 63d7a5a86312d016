"""The market that the accounts of a paper run trade in, from its bars."""

from typing import Any

import numpy as np
import pandas as pd

from gearing.contracts import Contract
from gearing.contracts.venues import VENUES
from gearing.live.paper.bars import PRICES, Recorded
from gearing.market.data import MarketData
from gearing.market.timing import DAY


def warm_up(bar: np.timedelta64, uses_volume: bool) -> np.timedelta64:
    """Time before a decision whose bars the simulator reads: two bars, and a day where slippage depends on volume."""
    return bar * 2 + (DAY if uses_volume else np.timedelta64(0, "ms"))


def traded_market(
    recorded: Recorded,
    contracts: tuple[Contract, ...],
    venue: str,
    bar: np.timedelta64,
    start: np.datetime64,
    end: np.datetime64,
) -> MarketData:
    """The bars that open in [start, end) as a market of the bundle's contracts.

    Without mark prices traded ones are used, without settlements none are paid, as a decision does.

    Raises
    ------
    ValueError
        For a gap, an impossible price, or a settlement that is missing.
    """
    part = recorded.between(start, end)
    bars = {c.symbol: part.bars[part.bars["contract"] == c.symbol] for c in contracts}
    options: dict[str, Any] = {"missing_mark": "last", "missing_funding": "zero"}
    if "mark_open" in part.bars:
        options |= {"mark": {s: _prices(table) for s, table in bars.items()}, "missing_mark": "error"}
    if part.funding is not None:
        cash = part.funding
        options["funding"] = {
            c.symbol: cash[cash["contract"] == c.symbol].drop(columns="contract") for c in contracts
        }
        options["missing_funding"] = "error"
    return MarketData.from_frames(
        {symbol: table[["open_time", *PRICES, "volume"]] for symbol, table in bars.items()},
        contract={c.symbol: c for c in contracts},
        bar=bar,
        venue=venue if venue in VENUES else "binance-usdm",  # for its settlement interval only
        start=start,
        end=end,
        **options,
    )


def _prices(table: pd.DataFrame) -> pd.DataFrame:
    names = {f"mark_{name}": name for name in PRICES}
    return table[["open_time", *names]].rename(columns=names)
