"""Whatever is changed in a statement is found: a number, a side, a leg, a coin, a row left out or there twice.

Found means that a number differs, that the file is refused in one line, or that a row is listed as not checked, which
no row of the exact statement is: the first fill of a contract may close what the statement does not show being opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.evaluation.reconcile.statement_sets import CASES, Statements, statements
from tests.evaluation.reconcile.statement_writer import Row, Table, fields

SWAPPED = {
    "Buy": "Sell", "BUY": "SELL", "buy": "sell", "Long": "Short", "long": "short", "LONG": "SHORT",
    "USDT": "USDC", "BTC": "ETH", "Open long": "Open short", "Close long": "Close short", "T": "M", "true": "false",
    "Funding fee expense": "Funding fee income",
}  # fmt: skip
SWAPPED |= {other: one for one, other in SWAPPED.items()}
CODES = {  # numbers that stand for words
    "subType": {"1": "2", "2": "1", "3": "4", "4": "3", "5": "6", "6": "5", "173": "174", "174": "173", "11": "12",
                "12": "11", "104": "105", "125": "126"},
    "type": {"2": "8", "8": "2", "5": "2", "9": "5", "1": "8", "TRADE": "SETTLEMENT", "SETTLEMENT": "TRADE"},
    "Type": {"TRADE": "SETTLEMENT", "SETTLEMENT": "TRADE"},
    "execType": {"Trade": "Funding", "Funding": "Trade", "BustTrade": "Trade", "T": "M", "M": "T"},
    "Filled Type": {"Trade": "Funding", "Funding": "Trade", "BustTrade": "Trade"},
    "incomeType": {"FUNDING_FEE": "COMMISSION", "COMMISSION": "REALIZED_PNL", "REALIZED_PNL": "FUNDING_FEE"},
    "positionIdx": {"1": "2", "2": "1"},
}  # fmt: skip
SYMBOLS = ("symbol", "instId", "Contract", "Symbol", "Market")
# Not determined where money moves without a contract.
WITHOUT_CONTRACT = fields("size qty fee pnl interest Position Fee PnL Amount posBalChg") | {"Filled Price"}
MONEY = fields("change balChg Change currency ccy Currency")  # of the first entry nothing is known before
COINS_FIRST = {"Balance Unit", "Balance Change", "Filled Price", "Fee Unit"}
WEIGHTED = [pytest.param(case, marks=() if "hedge" in case else pytest.mark.slow) for case in CASES]
RATES = {"feeRate", "Fee Rate"}
FORCED = {"104", "105", "125", "126"}


def contract(row: Row) -> str:
    return next((str(row[name]) for name in SYMBOLS if name in row), "")


def others(name: str, value: str) -> list[str]:
    """Other values of a field: of a word its opposite; of a number 3 % more, and the other sign."""
    if name in CODES:
        return [CODES[name][value]] if value in CODES[name] else []
    if value in SWAPPED:
        return [SWAPPED[value]]
    number, _, coin = value.partition(" ")
    try:
        amount = float(number)
    except ValueError:
        return []
    tail = f" {coin}" if coin else ""
    return [f"{amount * 1.03:.12f}{tail}", f"{-amount:.12f}{tail}"] if amount else [f"7{tail}"]


def compared(table: Table, row: Row, name: str) -> bool:
    """Whether the statement determines this field of this row."""
    if name in table.ignored or "time" in name.lower() or name in ("ts", "uTime") or row[name] in ("", "--"):
        return False
    if name == "Fee Unit" and not float(row["Fee"]):
        return False
    if isinstance(row[name], bool) or (name == "execType" and row.get("subType") in FORCED):
        return False
    if contract(row):
        return True
    first = row in (table.rows[0], table.rows[-1])
    return balanced(row) and name not in WITHOUT_CONTRACT and not (first and name in MONEY | COINS_FIRST)


def balanced(row: Row) -> bool:
    """Whether the ledger prints the balance after each change, which proves changes without a contract."""
    return bool({"cashBalance", "bal", "Balance", "Wallet Balance"} & set(row))


def representative(table: Table) -> set[int]:
    """Places of the last row of each kind."""
    kinds = {
        tuple(row.get(name) for name in CODES if name != "positionIdx"): k for k, row in enumerate(table.rows)
    }
    return set(kinds.values())


def mutations(table: Table, places: set[int]) -> Iterator[tuple[str, int, Row]]:
    """Each compared field of rows changed: what was done, the row's place, and the row."""
    for place, row in enumerate(table.rows):
        if place not in places:
            continue
        for name, value in row.items():
            for other in others(name, str(value)) if compared(table, row, name) else ():
                if name in RATES and other.startswith("-") != str(value).startswith("-"):
                    continue  # a short's rate may or may not have the market's sign
                yield f"{table.name} row {place + 1}, {name}: {value} -> {other}", place, {**row, name: other}


# Nothing but their type says of these rows that a position was opened or liquidated: a trade that opened it reads as a
# payment on a position from before the statement, its liquidation as a trade at that price.
WITHOUT_BALANCES = ("bybit executions: liquidated", "bybit page trades: liquidated")


def found(given: Statements, folder: Path, k: int, rows: list[Row]) -> bool:
    try:
        result = given.reconcile(folder, k, rows)
    except ValueError as error:
        return len(str(error).splitlines()) == 1
    return bool(len(result.differences) or result.unchecked)


def assert_each_change_is_found(case: str, folder: Path, everywhere: bool) -> None:
    given = statements(case)
    missed = [
        what
        for k, table in enumerate(given.tables)
        for what, place, row in mutations(
            table, set(range(len(table.rows))) if everywhere else representative(table)
        )
        if not found(given, folder, k, [*table.rows[:place], row, *table.rows[place + 1 :]])
    ]
    if case in WITHOUT_BALANCES:
        missed = [what for what in missed if "Type: " not in what]
    assert not missed, f"{len(missed)} changes were not found:\n" + "\n".join(missed)


@pytest.mark.parametrize("case", [case for case in CASES if "one_way" in case])
def test_each_changed_number_side_leg_and_coin_of_one_row_of_a_kind_is_found(case: str, tmp_path: Path):
    assert_each_change_is_found(case, tmp_path, everywhere=False)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_each_changed_number_side_leg_and_coin_is_found(case: str, tmp_path: Path):
    assert_each_change_is_found(case, tmp_path, everywhere=True)


@pytest.mark.parametrize("case", WEIGHTED)
def test_each_row_left_out_is_found(case: str, tmp_path: Path):
    """Of a snapshot nothing else tells; of the first entry of a ledger nothing before it, of the last nothing after.

    Without balances, nothing tells that a position was liquidated, or opened before a snapshot.
    """
    if case in (*WITHOUT_BALANCES, "okx fills: liquidated"):
        pytest.skip("nothing tells of a position that is gone")
    given = statements(case)
    missed = [
        f"{table.name} row {place + 1}: {row}"
        for k, table in enumerate(given.tables)
        if "osition" not in table.name
        for place, row in enumerate(table.rows)
        if contract(row) or (balanced(row) and place not in (0, len(table.rows) - 1))
        if " and " not in case or place != 0
        if not found(given, tmp_path, k, [*table.rows[:place], *table.rows[place + 1 :]])
    ]
    assert not missed, f"{len(missed)} rows were not missed:\n" + "\n".join(missed)


@pytest.mark.parametrize("case", WEIGHTED)
def test_each_row_that_stands_twice_is_found_or_counted_once(case: str, tmp_path: Path):
    given = statements(case)
    for k, table in enumerate(given.tables):
        for place, row in enumerate(table.rows):
            rows = [*table.rows[:place], row, *table.rows[place:]]
            result = given.reconcile(tmp_path, k, rows)
            once = result.rows["doubled"] == 1 and result.differences.empty
            snapshot = "osition" in table.name
            assert once or snapshot or len(result.differences), f"{table.name} row {place + 1}: {row}"
