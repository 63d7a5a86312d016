"""Sets of files that a user would bring, for each venue, script and format, and how they are reconciled."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.evaluation.reconcile import binance_writer, bybit_writer, okx_writer
from tests.evaluation.reconcile.scripted_account import Account
from tests.evaluation.reconcile.statement_writer import (
    SCRIPTS,
    Market,
    Row,
    Script,
    Table,
    fee_in_another_coin,
)

from gearing.contracts import Contract, MarginTier, TierSchedule
from gearing.evaluation.reconcile import Reconciliation
from gearing.evaluation.reconcile.files import reconcile_files
from gearing.live.statements.events import Traded

Make = Callable[[Script], Table]


@dataclass(frozen=True)
class Statements:
    """The files of one account, and what the user gives with them."""

    venue: str
    script: Script
    tables: tuple[Table, ...]
    settlements: bool = False

    def reconcile(self, folder: Path, changed: int = -1, rows: list[Row] | None = None) -> Reconciliation:
        """What is found in them; with ``rows`` in place of one table's."""
        paths = [
            table.write(folder, rows if k == changed else None)
            for k, table in enumerate(self.tables)
            if table.rows
        ]
        return self.reconcile_paths(paths, folder)

    def reconcile_paths(self, paths: list[Path], folder: Path) -> Reconciliation:
        """What is found in files."""
        contracts = folder / "contracts.json"
        contracts.write_text(json.dumps([contract_of(one).to_dict() for one in self.script.contracts]))
        funding = folder / "settlements.csv"
        settled = self.settlements and any(e.kind == "funding" for e in self.script.account.events)
        if settled:
            funding.write_text(self.settled())
        return reconcile_files(paths, self.venue, contracts=contracts, funding=funding if settled else None)

    def settled(self) -> str:
        """Rates and marks of the settlements, as a table."""
        events = [e for e in self.script.account.events if e.kind == "funding" and e.contract]
        lines = {
            f"{e.contract.symbol},{datetime.fromtimestamp(e.time // 1000, UTC):%Y-%m-%d %H:%M:%S},{e.rate},{e.price}"
            for e in events
            if e.contract
        }
        return "\n".join(["symbol,time,rate,mark", *sorted(lines)]) + "\n"


def contract_of(traded: Traded) -> Contract:
    """The contract with its single margin tier."""
    tier = MarginTier(0.0, 1e12, float(traded.maintenance), 0.0, float(traded.top_leverage))
    return Contract(
        traded.symbol, kind="inverse" if traded.inverse else "linear", multiplier=float(traded.size),
        tick_size=float(traded.tick), lot_size=float(traded.lot * traded.size), settle=traded.settle,
        schedules=(TierSchedule((tier,)),),
    )  # fmt: skip


def position_v3(script: Script) -> Table:
    return binance_writer.positions(script, version=3)


B, Y, O = binance_writer, bybit_writer, okx_writer  # noqa: E741
SETS: dict[str, tuple[str, tuple[Make, ...], bool]] = {
    "binance interface": ("binance-usdm", (B.user_trades, B.incomes, B.force_orders, B.positions), True),
    "binance interface v3": ("binance-usdm", (B.user_trades, B.incomes, B.force_orders, position_v3), True),
    "binance page": ("binance-usdm", (B.web_trade_history, B.web_transaction_history, B.positions), True),
    "bybit executions": ("bybit", (Y.executions, Y.positions), True),
    "bybit log": ("bybit", (Y.transaction_log, Y.positions), True),
    "bybit executions and log": ("bybit", (Y.executions, Y.transaction_log, Y.positions), True),
    "bybit page log": ("bybit", (Y.web_transaction_log, Y.positions), True),
    "bybit page trades": ("bybit", (Y.web_trade_history, Y.positions), True),
    "okx fills": ("okx", (O.fills, O.positions), False),
    "okx bills": ("okx", (O.bills, O.positions), True),
    "okx bills isolated": ("okx", (O.isolated_bills, O.positions), True),
    "okx fills and bills": ("okx", (O.fills, O.bills, O.positions), True),
    "okx page": ("okx", (O.web_trading_history, O.positions), True),
}
NOT_MADE = {  # records that lack what they would need
    ("bybit page trades", "hedge"), ("binance page", "hedge"), ("binance page", "liquidated"),
}  # fmt: skip
CASES = [f"{kind}: {script}" for kind in SETS for script in SCRIPTS if (kind, script) not in NOT_MADE]


def statements(case: str) -> Statements:
    """The files of a case, such as "bybit log: hedge"."""
    kind, _, name = case.partition(": ")
    venue, makers, settlements = SETS[kind]
    writer = {"binance-usdm": binance_writer, "bybit": bybit_writer, "okx": okx_writer}[venue]
    account: Account = writer.account()
    if name == "inverse" and venue == "binance-usdm":
        venue, account = "binance-coinm", binance_writer.inverse_account()
    market: Market = writer.MARKET
    script = (fee_in_another_coin if name == "fee_in_another_coin" else SCRIPTS[name])(account, market)
    return Statements(venue, script, tuple(make(script) for make in makers), settlements)
