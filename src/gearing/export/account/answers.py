"""Accounts as venues return them: strings, other names, contracts instead of coins.

=========  ========================================================================================================
Binance    ``GET /fapi/v2/account``: one object, with ``assets`` and ``positions``
Bybit      the answers of ``GET /v5/account/wallet-balance`` and ``GET /v5/position/list``, in a list or an object
OKX        the answers of ``GET /api/v5/account/balance`` and ``GET /api/v5/account/positions``, likewise
=========  ========================================================================================================

Positions of contracts outside the bundle are refused where they are open. A partial answer is an error: unknown is not
flat. Hedge-mode positions are refused, because a bundle holds one position per contract.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from gearing.contracts import Contract
from gearing.export.bundle.files import BundleError
from gearing.export.bundle.manifest import Manifest
from gearing.export.reading.answers import symbol_of
from gearing.storage.answers import rows_of_answer

_CONTRACT_VALUES = {"BTCUSDT": 0.01, "ETHUSDT": 0.1, "SOLUSDT": 1.0}
_GIVE = {
    "binance": "GET /fapi/v2/account",
    "bybit": "GET /v5/account/wallet-balance and GET /v5/position/list",
    "okx": "GET /api/v5/account/balance and GET /api/v5/account/positions",
}

_BYBIT_PAGE = 20  # positions a page by default; a full page with a cursor has a next one


def of_venue(given: Any, manifest: Manifest) -> Mapping[str, Any] | None:
    """An account in our own format; None if the values are no answer of a venue.

    Raises
    ------
    BundleError
        For an answer that is a refusal, lacks a part, or holds what a bundle cannot hold.
    """
    answers = list(given) if isinstance(given, list | tuple) else [given]
    if len(answers) == 1 and isinstance(answers[0], Mapping) and "assets" in answers[0]:
        return _binance(answers[0], manifest)
    if len(answers) == 1 and isinstance(answers[0], Mapping) and not _is_answer(answers[0]):
        answers = [one for one in answers[0].values() if isinstance(one, Mapping)]
    if not answers or not all(isinstance(one, Mapping) and _is_answer(one) for one in answers):
        return None
    return _bybit(answers, manifest) if any("retCode" in one for one in answers) else _okx(answers, manifest)


def _is_answer(values: Mapping[str, Any]) -> bool:
    return "retCode" in values or {"code", "data"} <= values.keys()


def _rows(answer: Any, venue: str) -> list[Any]:
    try:
        return rows_of_answer(answer, "account")
    except ValueError as error:
        raise BundleError(f"{error} Ask again ({_GIVE[venue]}); unknown is not flat.", "account") from error


def _binance(answer: Mapping[str, Any], manifest: Manifest) -> dict[str, Any]:
    coin = manifest.contracts[0].settle
    assets = {one.get("asset"): one for one in answer["assets"]}
    if coin not in assets or not isinstance(answer.get("positions"), list):
        _partial("binance", coin if coin not in assets else "positions")
    positions = {}
    for row, symbol in _open(answer["positions"], "positionAmt", "symbol", manifest):
        _same_mode(row.get("isolated"), {True: "isolated", False: "cross"}, symbol, manifest)
        _one_way(row.get("positionSide", "BOTH") in ("BOTH", ""), symbol)
        if "entryPrice" not in row or "leverage" not in row:  # as in version 3 of the interface
            _partial(
                "binance",
                f"entry price and leverage of the position in {symbol}, which version 3 does not return",
            )
        positions[symbol] = {
            "quantity": _number(row, "positionAmt", symbol),
            "entry_price": _number(row, "entryPrice", symbol),
            "leverage": _number(row, "leverage", symbol),
            **_margin(row, "isolatedWallet", symbol, manifest),
            **(_optional(row, "markPrice", "mark") or _implied_mark(row)),
        }
    return {"wallet_balance": _number(assets[coin], "walletBalance", coin), "positions": positions}


def _bybit(answers: list[Any], manifest: Manifest) -> dict[str, Any]:
    coin = manifest.contracts[0].settle
    rows = [row for one in answers for row in _rows(one, "bybit") if isinstance(row, Mapping)]
    coins = [one for row in rows for one in _objects(row.get("coin")) if one.get("coin") == coin]
    # An empty list of positions is an answer; a missing list is none.
    results = [
        one["result"]
        for one in answers
        if isinstance(one.get("result"), Mapping) and "category" in one["result"]
    ]
    lists = [one for one in results if isinstance(one.get("list"), list)]
    full = [one for one in lists if one.get("nextPageCursor") and len(one["list"]) >= _BYBIT_PAGE]
    if lists and len(full) == len(lists):
        _partial("bybit", "further pages of positions")
    if not coins or not lists:
        _partial("bybit", "the list of positions" if coins else coin)
    positions = {}
    for row, symbol in _open([r for r in rows if "positionIdx" in r], "size", "symbol", manifest):
        _one_way(str(row["positionIdx"]) == "0", symbol)
        side = {"Buy": 1.0, "Sell": -1.0}.get(row.get("side", ""))
        if side is None:
            raise BundleError(
                f"account, position in {symbol}: side is {row.get('side')!r}; it must be Buy or Sell."
            )
        positions[symbol] = {
            "quantity": side * _number(row, "size", symbol),
            "entry_price": _number(row, "avgPrice", symbol),
            "leverage": _number(row, "leverage", symbol),
            **_margin(row, "positionBalance", symbol, manifest),
            **_optional(row, "markPrice", "mark"),
        }
    return {"wallet_balance": _number(coins[0], "walletBalance", coin), "positions": positions}


def _okx(answers: list[Any], manifest: Manifest) -> dict[str, Any]:
    coin = manifest.contracts[0].settle
    balances = [d for one in answers for row in _rows(one, "okx") if isinstance(row, Mapping)
                for d in _objects(row.get("details")) if d.get("ccy") == coin]  # fmt: skip
    others = [
        one
        for one in answers
        if isinstance(one["data"], list)
        and not any("details" in row for row in one["data"] if isinstance(row, Mapping))
    ]
    if not balances or not others:
        _partial("okx", "the list of positions" if balances else coin)
    values = {one.symbol: okx_contract_value(one) for one in manifest.contracts}
    positions = {}
    for row, symbol in _open([r for one in others for r in _rows(one, "okx")], "pos", "instId", manifest):
        _one_way(row.get("posSide", "net") == "net", symbol)
        _same_mode(row.get("mgnMode"), {"isolated": "isolated", "cross": "cross"}, symbol, manifest)
        positions[symbol] = {
            "quantity": _number(row, "pos", symbol) * values[symbol],
            "entry_price": _number(row, "avgPx", symbol),
            "leverage": _number(row, "lever", symbol),
            **_margin(row, "margin", symbol, manifest),
            **_optional(row, "markPx", "mark"),
        }
    return {"wallet_balance": _number(balances[0], "cashBal", coin), "positions": positions}


def okx_contract_value(contract: Contract) -> float:
    """Coins of one of OKX's contracts: of its own answer where it was given, else as known for the large ones.

    Raises
    ------
    BundleError
        Where it is not known.
    """
    value = contract.multiplier if contract.multiplier != 1.0 else _CONTRACT_VALUES.get(contract.symbol)
    if value is None:
        raise BundleError(
            f"how many coins a contract of {contract.symbol} holds at OKX is not known; give its answer of GET "
            "/api/v5/public/instruments (--contracts).",
            "account",
        )
    return value


def _open(rows: Any, size: str, name: str, manifest: Manifest) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Rows of open positions, with the bundle's symbol of each."""
    shown = set[str]()
    for row in rows:
        if not isinstance(row, Mapping) or size not in row or name not in row:
            raise BundleError(
                f"account: a position without {size} or {name}: {str(row)[:80]}; unknown is not flat.",
                "account",
            )
        symbol = symbol_of(str(row[name]))
        if _number(row, size, symbol) == 0.0:
            continue
        if symbol in shown:
            raise BundleError(
                f"account: two open positions in {symbol}; give each answer once, of one moment.", "account"
            )
        shown.add(symbol)
        if symbol not in manifest.symbols:
            raise BundleError(
                f"account: a position in {symbol!r}, which this bundle does not decide on "
                f"({', '.join(manifest.symbols)}); use an account, or a sub-account, of its own.",
                "account",
            )
        yield row, symbol


def _objects(values: Any) -> list[Mapping[str, Any]]:
    """The objects of a list; none where there is no list."""
    return [one for one in values if isinstance(one, Mapping)] if isinstance(values, list) else []


def _same_mode(shown: Any, modes: Mapping[Any, str], symbol: str, manifest: Manifest) -> None:
    """Refuse a position whose margin mode, where the venue shows one, is not the bundle's."""
    wanted = manifest.config.margin_mode
    if isinstance(shown, bool | str) and modes.get(shown, wanted) != wanted:
        raise BundleError(
            f"account, position in {symbol}: its margin is {modes[shown]}, that of this bundle {wanted}; close it, or "
            "change its mode at the venue.",
            "account",
        )


def _margin(row: Mapping[str, Any], name: str, symbol: str, manifest: Manifest) -> dict[str, float]:
    return {"margin": _number(row, name, symbol)} if manifest.config.margin_mode == "isolated" else {}


def _optional(row: Mapping[str, Any], name: str, mine: str) -> dict[str, float]:
    return {mine: _number(row, name, "mark price")} if row.get(name) not in (None, "") else {}


def _implied_mark(row: Mapping[str, Any]) -> dict[str, float]:
    """Binance's account has no mark price; the unrealised profit of a linear contract tells it."""
    if row.get("unrealizedProfit") in (None, ""):
        return {}
    quantity, entry, profit = (
        _number(row, n, "mark price") for n in ("positionAmt", "entryPrice", "unrealizedProfit")
    )
    mark = entry + profit / quantity
    return {"mark": mark} if mark > 0.0 else {}


def _number(row: Mapping[str, Any], name: str, what: str) -> float:
    """A number that venues write as text."""
    try:
        value = row[name]
        number = math.nan if isinstance(value, bool) or "_" in str(value) else float(value)
    except (KeyError, TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise BundleError(
            f"account, {what}: {name} is {row.get(name)!r:.60}; it must be a finite number. Ask the venue again; "
            "unknown is not flat.",
            "account",
        )
    return number


def _one_way(is_so: bool, symbol: str) -> None:
    if not is_so:
        raise BundleError(
            f"account, position in {symbol}: it is of the hedge mode; switch the account to one-way mode, because a "
            "bundle holds one position per contract.",
            "account",
        )


def _partial(venue: str, what: str) -> None:
    raise BundleError(
        f"account: the answers lack {what}; give {_GIVE[venue]}. Unknown is not flat.", "account"
    )
