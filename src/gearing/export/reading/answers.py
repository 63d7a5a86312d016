"""Klines and funding rates as venues return them, in the columns that a decision reads.

Klines are lists without names; their number tells the venue: Binance 12, Bybit 7, OKX 9. OKX gives the volume of swaps
in contracts, and in the coin in the next column, which is taken.
"""

from collections.abc import Mapping
from typing import Any

from gearing.export.bundle.files import BundleError

_KLINES: Mapping[int, Mapping[int, str]] = {
    12: {0: "open_time", 1: "open", 2: "high", 3: "low", 4: "close", 5: "volume"},
    7: {0: "open_time", 1: "open", 2: "high", 3: "low", 4: "close", 5: "volume"},
    9: {0: "open_time", 1: "open", 2: "high", 3: "low", 4: "close", 6: "volume"},
}
_RATES = {
    "fundingTime": "time",
    "fundingRateTimestamp": "time",
    "realizedRate": "rate",  # of OKX, whose fundingRate was the prediction
    "fundingRate": "rate",
    "markPrice": "mark",
    "symbol": "contract",
    "instId": "contract",
}
_MORE = {"instType", "method", "formulaType", "category"}  # of these answers, and of no use here


def symbol_of(name: str) -> str:
    """Symbol of an instrument: OKX's BTC-USDT-SWAP is BTCUSDT."""
    return name.removesuffix("-SWAP").replace("-", "") if name.endswith("-SWAP") else name


def as_columns(columns: dict[Any, Any], what: str) -> dict[Any, Any]:
    """Columns under the names that a decision reads; those of tables are unchanged."""
    if columns and all(isinstance(name, int) for name in columns):
        known = _KLINES.get(len(columns))
        if what != "bars" or known is None:
            raise BundleError(
                f"{what}: rows of {len(columns)} values without names; klines of Binance have 12, of OKX 9, of Bybit "
                "7. Give a header or objects with names."
            )
        return {name: columns[number] for number, name in known.items()}
    if what == "funding" and {"fundingTime", "fundingRateTimestamp"} & columns.keys():
        return _rates(columns)
    return columns


def _rates(columns: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, mine in _RATES.items():
        if name in columns and mine not in found:
            found[mine] = columns[name]
    found |= {name: columns[name] for name in columns.keys() - _RATES.keys() - _MORE}
    if "contract" in found:
        found["contract"] = [symbol_of(str(one)) for one in found["contract"]]
    return found
