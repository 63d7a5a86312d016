"""Contracts and margin tiers of a statement: from the venue's own answers, a data folder, or those shipped.

``--contracts`` takes any of these files, several together:

* the project's own: a list of ``Contract.to_dict()``, or margin tiers by symbol as in ``brackets.json``;
* Binance: ``exchangeInfo`` (tick, lot, contract size) and ``leverageBracket`` (tiers);
* Bybit: ``market/instruments-info`` and ``market/risk-limit``;
* OKX: ``public/instruments`` and ``public/position-tiers``.

Without tiers everything but liquidation prices is checked.
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gearing.contracts import (
    Contract,
    MarginTier,
    TierSchedule,
    VenueProfile,
    shipped_schedules,
    shipped_symbols,
)
from gearing.contracts.shipped import schedule_from_rows
from gearing.market.history.columns import contract_symbol
from gearing.market.history.layout import PROFILES, read_tiers
from gearing.storage.answers import rows_of_answer
from gearing.storage.text import read_json

_QUOTES = ("USDT", "USDC", "FDUSD", "BUSD", "TUSD", "USD1", "USD", "BTC", "ETH", "EUR")
_NO_TIERS = (TierSchedule.flat(0.0, 1000.0),)  # a stand-in: liquidation prices are not checked with it
_CONTRACT_SIZES = {"BTC": 0.01, "ETH": 0.1, "SOL": 1.0}  # OKX, linear; its own answer says it for all


@dataclass
class Known:
    """What files say of one contract.

    Attributes
    ----------
    sizes : mapping, arguments of Contract other than symbol and schedules
    schedules : tuple of TierSchedule, empty where no file has tiers
    contracts_tiers : list of (floor, cap, rate, max leverage), bounds in contracts (OKX)
    whole : Contract, where a file has all of it
    """

    sizes: dict[str, Any] = field(default_factory=dict)
    schedules: tuple[TierSchedule, ...] = ()
    counted: list[tuple[float, float, float, float]] = field(default_factory=list)
    whole: Contract | None = None


def find_contracts(
    symbols: Iterable[str],
    profile: VenueProfile,
    files: Sequence[Path] = (),
    data: Path | None = None,
    prices: Mapping[str, float] | None = None,
) -> tuple[list[Contract], set[str]]:
    """Contracts of a statement, and the symbols of those whose tiers are not known.

    Parameters
    ----------
    symbols : the venue's names in the statement
    files : answers of the venue or contracts of the project, see the module
    data : data folder with ``brackets.json``
    prices : symbol -> a price in the statement, for tiers that count contracts

    Raises
    ------
    ValueError
        Naming the file that cannot be read and why.
    """
    known: dict[str, Known] = defaultdict(Known)
    for path in files:
        read_contracts(path, known)
    found, tierless = [], set()
    for symbol in sorted(set(symbols)):
        given = known.get(contract_symbol(symbol), Known())
        contract = _contract(symbol, given, profile, data, (prices or {}).get(symbol, math.nan))
        if contract is not None:
            found.append(contract)
            if contract.schedules is _NO_TIERS:
                tierless.add(symbol)
    return found, tierless


def _contract(
    symbol: str, known: Known, profile: VenueProfile, data: Path | None, price: float
) -> Contract | None:
    """The contract of a symbol; None where its size is not known."""
    if known.whole is not None:
        return replace(known.whole, symbol=symbol)
    spec = profile.specs.get(symbol) or profile.specs.get(contract_symbol(symbol))
    shipped = (
        {}
        if spec is None
        else {name: getattr(spec, name) for name in ("tick_size", "lot_size", "min_notional")}
    )
    sizes = {**shipped, **_named_sizes(symbol, profile), **known.sizes}
    if "multiplier" not in sizes:
        return None
    schedules = (
        known.schedules or _counted(known, sizes, price) or _stored(symbol, profile, data) or _NO_TIERS
    )
    return Contract(symbol, schedules=schedules, **sizes)


def _named_sizes(symbol: str, profile: VenueProfile) -> dict[str, Any]:
    """Kind, coin and contract size as far as the venue's rules of naming say them."""
    base, quote = _parts(symbol)
    family = profile.name.partition("-")[0]
    inverse = quote == "USD"
    sizes: dict[str, Any] = {"kind": "inverse" if inverse else "linear", "settle": base if inverse else quote}
    if not quote:
        sizes = {"kind": profile.kind, "settle": profile.settle}
    if family == "okx":
        size = (100.0 if base == "BTC" else 10.0) if inverse else _CONTRACT_SIZES.get(base)
        return sizes if size is None else {**sizes, "multiplier": size}
    coin_margined = family == "binance" and inverse
    return {**sizes, "multiplier": (100.0 if base == "BTC" else 10.0) if coin_margined else 1.0}


def _parts(symbol: str) -> tuple[str, str]:
    """Base and quote of a contract's name; ("", "") where the quote is not one that is known."""
    name = contract_symbol(symbol)
    name = re.sub(r"\d{6}$", "", name)  # dated contracts
    name = f"{name.removesuffix('PERP')}USDC" if name.endswith("PERP") else name  # Bybit's USDC contracts
    quote = next((one for one in _QUOTES if name.endswith(one) and len(name) > len(one)), "")
    return (name.removesuffix(quote), quote) if quote else ("", "")


def _stored(symbol: str, profile: VenueProfile, data: Path | None) -> tuple[TierSchedule, ...]:
    """Tiers of the data folder, else shipped ones, where they are this venue's."""
    name = contract_symbol(symbol)
    if data is not None:
        folder = next((place for place, known in PROFILES.items() if known == profile.name), profile.name)
        try:
            schedules, note = read_tiers(data, folder, name)
        except ValueError as error:
            if "no margin tiers" not in str(error):
                raise
            return ()
        if not note or profile.name == "binance-usdm":
            return schedules
    return shipped_schedules(name) if profile.name == "binance-usdm" and name in shipped_symbols() else ()


def _counted(known: Known, sizes: Mapping[str, Any], price: float) -> tuple[TierSchedule, ...]:
    """Tiers whose bounds count contracts, at a price of the statement."""
    if not known.counted or math.isnan(price):
        return ()
    unit = sizes["multiplier"] / price if sizes["kind"] == "inverse" else sizes["multiplier"] * price
    rows = sorted(known.counted)
    floors, rates, leverages = (
        [row[0] * unit for row in rows],
        [row[2] for row in rows],
        [row[3] for row in rows],
    )
    floors[0] = 0.0
    return (TierSchedule.from_rates(floors, rates, leverages, marginal=False, source="position-tiers"),)


def read_contracts(path: Path, known: dict[str, Known]) -> None:
    """Add what one file says.

    Raises
    ------
    ValueError
        Naming the file and what is wrong with it.
    """
    content = read_json(path, numbers=str)
    try:
        if not _read_content(content, str(path), known):
            raise ValueError(
                "these are no contracts that are known here; give the venue's instruments or tiers, "
                "or a list of Contract.to_dict()."
            )
    except (KeyError, TypeError, AttributeError, IndexError, ArithmeticError) as error:
        lacking = (
            f"the field {error} is missing" if isinstance(error, KeyError) else "a field has another type"
        )
        raise ValueError(f"{path}: {lacking}; give the file as the venue returns it.") from None
    except ValueError as error:
        text = str(error)
        raise ValueError(text if text.startswith(str(path)) else f"{path}: {_own_words(text)}") from None


def _own_words(text: str) -> str:
    """A message of ours, or what a number that cannot be read means."""
    return (
        "a number cannot be read; give the file as the venue returns it."
        if "could not convert" in text
        else text
    )


def _read_content(content: Any, where: str, known: dict[str, Known]) -> bool:
    if isinstance(content, dict) and isinstance(content.get("symbols"), list):
        for row in content["symbols"]:
            known[contract_symbol(row["symbol"])].sizes |= _binance_sizes(row)
        return True
    if isinstance(content, dict) and content and all(_is_bracket_table(rows) for rows in content.values()):
        for symbol, rows in content.items():
            known[contract_symbol(symbol)].schedules = (schedule_from_rows(rows, None, where),)
        return True
    rows = rows_of_answer(content, where)
    readers = {"schedules": _project, "brackets": _binance_brackets, "riskLimitValue": _bybit_risk,
               "lotSizeFilter": _bybit_sizes, "ctVal": _okx_sizes, "maxSz": _okx_tiers}  # fmt: skip
    for mark, reader in readers.items():
        if rows and all(isinstance(row, dict) and mark in row for row in rows):
            reader(rows, known)
            return True
    return False


def _is_bracket_table(rows: Any) -> bool:
    return (
        isinstance(rows, list)
        and bool(rows)
        and isinstance(rows[0], dict)
        and "maintenance_margin_rate" in rows[0]
    )


def _floats(value: Any) -> Any:
    """Texts of numbers as numbers, at any depth; other texts stay."""
    if isinstance(value, list):
        return [_floats(one) for one in value]
    if isinstance(value, dict):
        return {key: _floats(one) for key, one in value.items()}
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _project(rows: Sequence[Mapping[str, Any]], known: dict[str, Known]) -> None:
    for row in rows:
        numbers = _floats(row) | {"symbol": row["symbol"]}
        known[contract_symbol(row["symbol"])].whole = Contract.from_dict(numbers)


def _binance_sizes(row: Mapping[str, Any]) -> dict[str, Any]:
    filters = {one["filterType"]: one for one in row["filters"]}
    inverse = "contractSize" in row
    size = float(row.get("contractSize", 1))
    return {
        "kind": "inverse" if inverse else "linear", "settle": row["marginAsset"], "multiplier": size,
        "tick_size": float(filters["PRICE_FILTER"]["tickSize"]),
        "lot_size": float(filters["LOT_SIZE"]["stepSize"]) * size,
    }  # fmt: skip


def _binance_brackets(rows: Sequence[Mapping[str, Any]], known: dict[str, Known]) -> None:
    for row in rows:
        tiers = []
        for one in sorted(row["brackets"], key=lambda one: float(one["bracket"])):
            floor = one.get("notionalFloor", one.get("qtyFloor", one.get("qtylFloor")))
            cap = one.get("notionalCap", one.get("qtyCap"))
            tiers.append(
                MarginTier(
                    float(floor),
                    float(cap),
                    float(one["maintMarginRatio"]),
                    float(one["cum"]),
                    float(one["initialLeverage"]),
                )
            )
        name = row.get("symbol") or row["pair"]
        known[contract_symbol(name)].schedules = (TierSchedule(tuple(tiers), source="leverageBracket"),)


def _bybit_sizes(rows: Sequence[Mapping[str, Any]], known: dict[str, Known]) -> None:
    for row in rows:
        inverse = str(row.get("contractType", "")).startswith("Inverse")
        known[contract_symbol(row["symbol"])].sizes |= {
            "kind": "inverse" if inverse else "linear", "settle": row["settleCoin"], "multiplier": 1.0,
            "tick_size": float(row["priceFilter"]["tickSize"]), "lot_size": float(row["lotSizeFilter"]["qtyStep"]),
        }  # fmt: skip


def _bybit_risk(rows: Sequence[Mapping[str, Any]], known: dict[str, Known]) -> None:
    tables: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        tables[row["symbol"]].append(row)
    for symbol, table in tables.items():
        table.sort(key=lambda row: float(row["riskLimitValue"]))
        floors = [0.0, *(float(row["riskLimitValue"]) for row in table[:-1])]
        rates = [float(row["maintenanceMargin"]) for row in table]
        leverages = [float(row["maxLeverage"]) for row in table]
        cap = float(table[-1]["riskLimitValue"])
        schedule = TierSchedule.from_rates(floors, rates, leverages, cap, source="risk-limit")
        known[contract_symbol(symbol)].schedules = (schedule,)


def _okx_sizes(rows: Sequence[Mapping[str, Any]], known: dict[str, Known]) -> None:
    for row in rows:
        size = float(row["ctVal"] or 1) * float(row.get("ctMult") or 1)
        known[contract_symbol(row["instId"])].sizes |= {
            "kind": row["ctType"], "settle": row["settleCcy"], "multiplier": size,
            "tick_size": float(row["tickSz"]), "lot_size": float(row["lotSz"]) * size,
        }  # fmt: skip


def _okx_tiers(rows: Sequence[Mapping[str, Any]], known: dict[str, Known]) -> None:
    for row in rows:
        name = row.get("instId") or row.get("instFamily") or row["uly"]
        one = float(row["minSz"]), float(row["maxSz"]), float(row["mmr"]), float(row["maxLever"])
        known[contract_symbol(name)].counted.append(one)
