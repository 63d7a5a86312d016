"""Account histories for every kind of record, and files of them as interfaces and web pages print them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.evaluation.reconcile.scripted_account import Account

from gearing.live.statements.events import Row, Traded

HOUR, START = 3_600_000, 1_735_689_600_000  # 2025-01-01 00:00 UTC


@dataclass
class Table:
    """Rows of one kind of record and the file they stand in.

    Attributes
    ----------
    ignored : fields that print what no statement can be checked for (numbers of orders, settings, prices of orders)
    wrap : what the interface puts around the rows; lines before the header of a CSV in ``head``
    """

    name: str
    rows: list[Row]
    ignored: frozenset[str] = frozenset()
    wrap: Callable[[list[Row]], Any] = list
    head: str = ""
    format: str = "json"
    encoding: str = "utf-8"

    def write(self, folder: Path, rows: list[Row] | None = None) -> Path:
        """The file of these rows, or of others in their place."""
        path = folder / f"{self.name}.{self.format}"
        path.write_text(self.text(self.rows if rows is None else rows), encoding=self.encoding)
        return path

    def text(self, rows: list[Row]) -> str:
        if self.format == "json":
            return json.dumps(self.wrap(rows))
        stream = io.StringIO()
        writer = csv.DictWriter(stream, list(self.rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return self.head + stream.getvalue()


@dataclass(frozen=True)
class Market:
    """The contracts of a venue that the scripts trade; their quantities are in base coins (USD for the inverse)."""

    btc: Traded
    eth: Traded
    sol: Traded
    inverse: Traded
    fee_coin: str

    def units(self, contract: Traded, quantity: str) -> str:
        """Traded units of a quantity."""
        return f"{(Decimal(quantity) / contract.size).normalize():f}"


@dataclass
class Script:
    """Orders of an account, in the words of a statement."""

    account: Account
    market: Market
    time: int = START
    contracts: list[Traded] = field(default_factory=list)

    def order(self, contract: Traded, side: int, quantity: str, price: str, **terms: Any) -> None:
        """An order filled a minute after the last event."""
        self.time += 61_234
        self.account.fill(self.time, contract, side, self.market.units(contract, quantity), price, **terms)
        self.known(contract)

    def settle(self, contract: Traded, rate: str, mark: str) -> None:
        """The next funding settlement, at the next multiple of eight hours."""
        self.time = (self.time // (8 * HOUR) + 1) * 8 * HOUR
        self.account.funding(self.time, contract, rate, mark)

    def known(self, contract: Traded) -> None:
        if contract not in self.contracts:
            self.contracts.append(contract)


def one_way(account: Account, market: Market) -> Script:
    """A long enlarged, reduced, turned into a short, closed and opened again, with funding of both signs."""
    script, btc, eth = Script(account, market), market.btc, market.eth
    account.transfer(START - HOUR, "USDT", "10000")
    account.transfer(START - HOUR + 1, "USDT", "-250.5")
    script.order(btc, 1, "0.5", "60000.1")
    script.order(btc, 1, "0.25", "60600.5", maker=True)
    script.settle(btc, "0.0001", "60500.4")
    script.order(btc, -1, "0.3", "61000.7")
    script.order(eth, -1, "1.5", "3010.25")
    script.order(btc, -1, "0.7", "59000.9")
    script.settle(btc, "-0.00005", "59100.1")
    account.funding(script.time, eth, "0.00012", "2999.99")
    script.order(btc, 1, "0.25", "58500.2", maker=True)
    script.order(eth, 1, "0.5", "2950.05")
    script.order(btc, 1, "0.1", "58000.3")
    account.snapshot(script.time + HOUR, {btc.symbol: "58250.6", eth.symbol: "2960.41"})
    return script


def hedge(account: Account, market: Market) -> Script:
    """A long and a short of one contract at the same time."""
    script, eth = Script(account, market), market.eth
    account.hedge = True
    account.transfer(START - HOUR, "USDT", "5000")
    script.order(eth, 1, "2", "3000.05", leg="long")
    script.order(eth, -1, "1", "3010.4", leg="short")
    script.settle(eth, "0.0001", "3005.55")
    script.order(eth, -1, "0.5", "3050.15", leg="long")
    script.order(eth, 1, "0.4", "2990.3", leg="short", maker=True)
    script.order(eth, 1, "0.3", "2995.7", leg="long")
    script.settle(eth, "0.0002", "2998.12")
    account.snapshot(script.time + HOUR, {eth.symbol: "3001.07"})
    return script


def inverse(account: Account, market: Market) -> Script:
    """A short of a contract that settles in its own coin, then a long."""
    script, usd = Script(account, market), market.inverse
    account.transfer(START - HOUR, "BTC", "1.5")
    script.order(usd, -1, "10000", "60000.5")
    script.order(usd, -1, "2500", "60500")
    script.settle(usd, "0.0001", "60321.5")
    script.order(usd, 1, "4000", "59000", maker=True)
    script.order(usd, 1, "18500", "58000.5")
    script.settle(usd, "0.0001", "58100")
    account.snapshot(script.time + HOUR, {usd.symbol: "58300.5"})
    return script


def liquidated(account: Account, market: Market) -> Script:
    """An isolated long that is liquidated, and one that the venue reduces to pay for somebody else's."""
    script, sol, eth = Script(account, market), market.sol, market.eth
    account.transfer(START - HOUR, "USDT", "8000")
    script.order(sol, 1, "100", "150.25")
    script.order(eth, 1, "1", "3000.5")
    account.snapshot(script.time + HOUR, {sol.symbol: "149.8", eth.symbol: "3001"})
    script.time += 2 * HOUR
    account.liquidate(script.time, sol, at_bust=account.valued != "mark")
    script.order(eth, -1, "0.4", "3200.1", kind="adl")
    account.snapshot(script.time + HOUR, {eth.symbol: "3201.5"})
    return script


def fee_in_another_coin(account: Account, market: Market) -> Script:
    """Fees in the venue's own coin: its price is not in the statement."""
    script, btc = Script(account, market), market.btc
    account.transfer(START - HOUR, "USDT", "3000")
    account.transfer(START - HOUR + 1, market.fee_coin, "2")
    script.order(btc, 1, "0.2", "60000.1", fee_coin=market.fee_coin, coin_price="700.5")
    script.order(btc, -1, "0.1", "60500.3", fee_coin=market.fee_coin, coin_price="701.25")
    account.snapshot(script.time + HOUR, {btc.symbol: "60250.6"})
    return script


SCRIPTS = {"one_way": one_way, "hedge": hedge, "inverse": inverse, "liquidated": liquidated}


def fields(names: str) -> frozenset[str]:
    """Names of fields from a text."""
    return frozenset(names.split())
