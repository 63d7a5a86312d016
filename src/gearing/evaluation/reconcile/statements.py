"""Account statements of Binance, Bybit and OKX, in one form: fills, funding, liquidations, positions.

Fields are those of the venues' own documents: Binance ``userTrades``, ``income``, ``forceOrders``, ``positionRisk``;
Bybit v5 ``execution/list`` and ``position/list``; OKX v5 ``trade/fills``, ``account/bills`` and ``account/positions``.
Numbers stay texts, because their last printed decimal decides what counts as a difference.
"""

import csv
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Line:
    """One line of a statement.

    Attributes
    ----------
    number : int, counted from 1 in the file
    time : datetime64[ms]
    kind : {"fill", "funding", "liquidation", "position"}
    symbol : str
    side : +1 a buy or a long, -1 a sell or a short, 0 if not stated
    given : mapping name -> text, what the line states and the replay takes as given (quantity, price, rate, ...)
    printed : mapping name -> text, what the replay computes and compares; of a liquidation ``execution_price``, the
        ``limit_price`` of its order (Binance) and the ``trigger_mark`` (Bybit)
    """

    number: int
    time: np.datetime64
    kind: str
    symbol: str
    side: int
    given: Mapping[str, str] = field(default_factory=dict)
    printed: Mapping[str, str] = field(default_factory=dict)


def read_statement(path: str | os.PathLike[str], venue: str) -> list[Line]:
    """Lines of a JSON or CSV file as the venue's API returns it, in time order.

    Raises
    ------
    ValueError
        For an unknown venue, or a record of no known kind; the message names file and line.
    """
    file = Path(path)
    if file.suffix.lower() == ".csv":
        with file.open(newline="") as stream:
            records: Any = list(csv.DictReader(stream))
    else:
        records = json.loads(file.read_text(), parse_float=str, parse_int=str)
    return parse_records(unwrap(records), venue, str(file))


def unwrap(records: Any) -> list[Any]:
    """The list inside an API response: Bybit's ``result.list``, OKX's ``data``, or the list itself."""
    if isinstance(records, dict):
        for key in ("result", "data", "list"):
            if key in records:
                return unwrap(records[key])
        return [records]
    return list(records)


def parse_records(records: Iterable[Mapping[str, Any]], venue: str, origin: str = "statement") -> list[Line]:
    """Lines of records that are already in memory, in time order."""
    family = venue.split("-")[0]
    if family not in _PARSERS:
        raise ValueError(f"{origin}: no statements of {venue!r}; there are {', '.join(sorted(_PARSERS))}.")
    lines = []
    for number, record in enumerate(records, start=1):
        texts = {key: str(value) for key, value in record.items() if value not in (None, "")}
        line = _PARSERS[family](number, texts)
        if line is None:
            raise ValueError(
                f"{origin}, line {number}: the fields {', '.join(sorted(texts))} are of no known record of {venue}; "
                "give fills, funding, liquidations or positions as its interface returns them."
            )
        if line.kind != "skip":
            lines.append(line)
    return sorted(lines, key=lambda line: (line.time, line.number))


def _moment(text: str) -> np.datetime64:
    if text.isdigit():
        return np.datetime64(int(text), "ms")
    return np.datetime64(text.removesuffix("Z").replace(" ", "T"), "ms")


def _side(text: str) -> int:
    return {"buy": 1, "long": 1, "sell": -1, "short": -1}.get(text.lower(), 0)


def _pick(record: Mapping[str, str], names: Mapping[str, str]) -> dict[str, str]:
    return {ours: record[theirs] for ours, theirs in names.items() if record.get(theirs) not in (None, "")}


def _position(
    number: int,
    r: Mapping[str, str],
    place: tuple[str, str],
    side: int,
    given: tuple[str, ...],
    printed: tuple[str, str],
) -> Line:
    """A snapshot of a position; the rest are the venue's names of time and contract, what is given and what printed."""
    stated = _pick(r, dict(zip(("quantity", "entry", "mark", "wallet", "leverage"), given, strict=True)))
    computed = _pick(r, dict(zip(("unrealised", "liquidation_price"), printed, strict=True)))
    computed |= {"quantity": r[given[0]].removeprefix("-"), "entry": r[given[1]]}
    return Line(number, _moment(r.get(place[0], "0")), "position", r[place[1]], side, stated, computed)


def _binance(number: int, r: Mapping[str, str]) -> Line | None:
    if "incomeType" in r:
        if r["incomeType"] != "FUNDING_FEE":
            return Line(number, _moment(r["time"]), "skip", r["symbol"], 0)
        return Line(number, _moment(r["time"]), "funding", r["symbol"], 0, {}, {"funding": r["income"]})
    if "positionAmt" in r:
        side = -1 if r["positionAmt"].startswith("-") else 1
        names = ("positionAmt", "entryPrice", "markPrice", "isolatedWallet", "leverage")
        return _position(
            number, r, ("updateTime", "symbol"), side, names, ("unRealizedProfit", "liquidationPrice")
        )
    if "executedQty" in r and "avgPrice" in r:
        given = {"quantity": r["executedQty"], "price": r["avgPrice"]}
        printed = {"execution_price": r["avgPrice"], "quantity": r["executedQty"]}
        printed |= _pick(r, {"limit_price": "price", "value": "cumQuote"})
        return Line(number, _moment(r["time"]), "liquidation", r["symbol"], _side(r["side"]), given, printed)
    if "qty" in r and "price" in r:
        given = {"quantity": r["qty"], "price": r["price"], "maker": r.get("maker", "false").lower()}
        printed = _pick(r, {"fee": "commission", "realised": "realizedPnl", "value": "quoteQty"})
        return Line(number, _moment(r["time"]), "fill", r["symbol"], _side(r["side"]), given, printed)
    return None


def _bybit(number: int, r: Mapping[str, str]) -> Line | None:
    if "execType" in r:
        time, side = _moment(r["execTime"]), _side(r["side"])
        given = _pick(r, {"quantity": "execQty", "price": "execPrice", "rate": "feeRate"})
        if r["execType"] == "Funding":
            printed = {"funding_paid": r["execFee"]} | _pick(r, {"quantity": "execQty"})
            return Line(number, time, "funding", r["symbol"], side, given, printed)
        if r["execType"] == "BustTrade":
            printed = {"execution_price": r["execPrice"], "quantity": r["execQty"]}
            printed |= _pick(r, {"trigger_mark": "markPrice", "value": "execValue", "realised": "execPnl"})
            return Line(number, time, "liquidation", r["symbol"], side, given, printed)
        given["maker"] = r.get("isMaker", "false").lower()
        printed = _pick(r, {"fee": "execFee", "realised": "execPnl", "value": "execValue"})
        return Line(number, time, "fill", r["symbol"], side, given, printed)
    if "avgPrice" in r and "size" in r:
        names = ("size", "avgPrice", "markPrice", "positionBalance", "leverage")
        return _position(
            number, r, ("updatedTime", "symbol"), _side(r["side"]), names, ("unrealisedPnl", "liqPrice")
        )
    return None


def _okx(number: int, r: Mapping[str, str]) -> Line | None:
    if "fillSz" in r:
        given = {
            "quantity": r["fillSz"],
            "price": r["fillPx"],
            "maker": str(r.get("execType") == "M").lower(),
        }
        printed = _pick(r, {"fee_change": "fee", "realised": "fillPnl"})
        return Line(number, _moment(r["ts"]), "fill", r["instId"], _side(r["side"]), given, printed)
    if "balChg" in r:
        kinds = {"8": "funding", "5": "liquidation"}
        kind = kinds.get(r.get("type", ""), "skip")
        given = _pick(r, {"quantity": "sz", "price": "px"})
        printed = {}
        if kind == "funding":
            printed = {"funding": r.get("pnl") or r["balChg"]} | _pick(r, {"quantity": "sz"})
        if kind == "liquidation":
            printed = _pick(r, {"execution_price": "px", "quantity": "sz", "realised": "pnl"})
        return Line(number, _moment(r["ts"]), kind, r["instId"], 0, given, printed)
    if "avgPx" in r and "pos" in r:
        side = _side(r.get("posSide", "")) or (-1 if r["pos"].startswith("-") else 1)
        names = ("pos", "avgPx", "markPx", "margin", "lever")
        return _position(number, r, ("uTime", "instId"), side, names, ("upl", "liqPx"))
    return None


_PARSERS = {"binance": _binance, "bybit": _bybit, "okx": _okx}
