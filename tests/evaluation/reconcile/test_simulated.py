"""Statements that the simulator wrote reconcile to the last decimal; each field that is then perturbed is found."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

import gearing
from gearing.contracts import Contract, venue
from gearing.evaluation.reconcile.mark_path import MarkPath
from gearing.evaluation.reconcile.replay import Reconciliation, reconcile
from gearing.evaluation.reconcile.statements import parse_records, read_statement
from gearing.exchange.account import position_liquidation_price
from gearing.exchange.rules import bankruptcy_price, round_price, unrealised_pnl
from gearing.exchange.terms import Terms
from gearing.simulation import SimulationConfig, Simulator

Record = dict[str, str]


@dataclass
class Event:
    """One thing that happened to the account, in numbers."""

    kind: str
    time: str
    side: int = 0  # of the order, of the position in a snapshot
    numbers: dict[str, float] = field(default_factory=dict)


def money(value: float) -> str:
    return f"{value:.8f}"


def binance(e: Event) -> Record:
    n, stamp = e.numbers, {"symbol": "SYN", "time": e.time}
    if e.kind == "funding":
        return {**stamp, "incomeType": "FUNDING_FEE", "income": money(n["funding"])}
    if e.kind == "position":
        return {
            "symbol": "SYN", "updateTime": e.time, "positionAmt": repr(e.side * n["quantity"]),
            "entryPrice": money(n["entry"]), "markPrice": repr(n["mark"]), "isolatedWallet": money(n["margin"]),
            "unRealizedProfit": money(n["unrealised"]), "liquidationPrice": money(n["liquidation_price"]),
        }  # fmt: skip
    side = "BUY" if e.side > 0 else "SELL"
    if e.kind == "liquidation":
        return {
            **stamp, "status": "FILLED", "side": side, "executedQty": repr(n["quantity"]),
            "avgPrice": money(n["trigger"]), "price": money(n["bust"]),
            "cumQuote": money(n["quantity"] * float(money(n["trigger"]))),
        }  # fmt: skip
    return {
        **stamp, "side": side, "price": repr(n["price"]), "qty": repr(n["quantity"]), "maker": "false",
        "commission": money(n["fee"]), "realizedPnl": money(n["realised"]), "quoteQty": money(n["value"]),
    }  # fmt: skip


def bybit(e: Event) -> Record:
    n, stamp = e.numbers, {"symbol": "SYN", "execTime": e.time}
    if e.kind == "position":
        return {
            "symbol": "SYN", "updatedTime": e.time, "side": "Buy" if e.side > 0 else "Sell",
            "size": repr(n["quantity"]), "avgPrice": money(n["entry"]), "markPrice": repr(n["mark"]),
            "positionBalance": money(n["margin"]), "unrealisedPnl": money(n["unrealised"]),
            "liqPrice": money(round_price(n["liquidation_price"], n["tick"], e.side)),
        }  # fmt: skip
    stamp["side"] = "Buy" if e.side > 0 else "Sell"
    if e.kind == "funding":
        return {
            **stamp, "execType": "Funding", "execQty": repr(n["quantity"]), "execPrice": repr(n["mark"]),
            "feeRate": repr(n["rate"]), "execFee": money(-n["funding"]),
        }  # fmt: skip
    if e.kind == "liquidation":
        bust = float(money(n["bust"]))
        realised = -e.side * n["quantity"] * (bust - n["entry"])
        return {
            **stamp, "execType": "BustTrade", "execQty": repr(n["quantity"]), "execPrice": money(bust),
            "markPrice": money(n["trigger"]), "execValue": money(n["quantity"] * bust), "execPnl": money(realised),
        }  # fmt: skip
    return {
        **stamp, "execType": "Trade", "execQty": repr(n["quantity"]), "execPrice": repr(n["price"]),
        "isMaker": "false", "execFee": money(n["fee"]), "execPnl": money(n["realised"]), "execValue": money(n["value"]),
    }  # fmt: skip


def okx(e: Event) -> Record:
    n, stamp = e.numbers, {"instId": "SYN", "ts": e.time}
    if e.kind == "position":
        return {
            "instId": "SYN", "uTime": e.time, "posSide": "net", "pos": repr(e.side * n["quantity"]),
            "avgPx": money(n["entry"]), "markPx": repr(n["mark"]), "margin": money(n["margin"]),
            "upl": money(n["unrealised"]), "liqPx": money(n["liquidation_price"]),
        }  # fmt: skip
    if e.kind == "funding":
        cash = money(n["funding"])
        return {
            **stamp, "type": "8", "sz": repr(n["quantity"]), "px": repr(n["mark"]), "pnl": cash, "balChg": cash,
        }  # fmt: skip
    if e.kind == "liquidation":
        bust = float(money(n["bust"]))
        realised = money(-e.side * n["quantity"] * (bust - n["entry"]))
        return {
            **stamp, "type": "5", "sz": repr(n["quantity"]), "px": money(bust), "pnl": realised, "balChg": realised,
        }  # fmt: skip
    return {
        **stamp, "side": "buy" if e.side > 0 else "sell", "fillSz": repr(n["quantity"]), "fillPx": repr(n["price"]),
        "execType": "T", "fee": money(-n["fee"]), "fillPnl": money(n["realised"]),
    }  # fmt: skip


WRITERS: dict[str, Callable[[Event], Record]] = {"binance-usdm": binance, "bybit": bybit, "okx": okx}
# What the replay takes as given: perturbing it is found first on its own line, but what follows from it differs too.
GIVEN = {
    "fill": {"qty", "price", "execQty", "execPrice", "fillSz", "fillPx"},
    "position": {"isolatedWallet", "positionBalance", "margin"},
}


class Statement:
    """What one simulated account did hour by hour under a venue's rules, as the venue would print it."""

    def __init__(self, name: str):
        self.name, self.events = name, []
        market = gearing.synthetic_market("market-b", seed=8, years=1, contracts=("SYN",))
        config = SimulationConfig(
            direction="free", max_leverage=40.0, decision_interval="1h", start="first", ruin_fraction=0.0, venue=name,
            settlement="venue", margin_share=0.2,
        )  # fmt: skip
        self.simulation = Simulator(market, None, config)
        self.simulation.reset(seed=0)
        self.contract: Contract = market.contracts[0]
        opens = dict(zip(market.open_time, market.mark[:, 0, 0], strict=True))
        self.marks = {"SYN": MarkPath(market.open_time, market.mark[:, 0], market.bar)}
        self.settlements = {
            ("SYN", s["time"]): (
                float(s["rate"]),
                float(opens[s["time"]] if np.isnan(s["mark"]) else s["mark"]),
            )
            for s in market.settlements
        }
        rng = np.random.default_rng(1)
        for _ in range(1000):
            if not self.play(rng):
                break
        self.records = [WRITERS[name](event) for event in self.events]

    def play(self, rng: np.random.Generator) -> bool:
        """One hour; False where several events of it cannot be told apart."""
        simulation = self.simulation
        position, ledger, moment = simulation.positions[0, 0], simulation.ledgers[0, 0], simulation.time[0]
        before = position.copy()
        leverage = rng.choice([1.0, 3.0, 40.0], p=[0.3, 0.3, 0.4]) * rng.choice([-1.0, 1.0])
        target = (
            np.nan if before.quantity and rng.random() < 0.8 else rng.choice([0.0, leverage], p=[0.2, 0.8])
        )
        simulation.step(np.array([[target]]))
        time, held = str(moment.astype("int64")), float(before.quantity)
        if ledger.fills > 1 or (ledger.fills and ledger.liquidations):
            return False
        if ledger.funding:
            rate, mark = self.settlements["SYN", moment]
            numbers = {"funding": float(ledger.funding), "quantity": abs(held), "rate": rate, "mark": mark}
            self.events.append(Event("funding", time, int(np.sign(held)), numbers))
        if ledger.liquidations:
            backing = float(before.margin + ledger.funding)
            numbers = {
                "quantity": abs(held), "entry": float(before.entry_price), "trigger": float(ledger.execution_price),
                "bust": bankruptcy_price(held, float(before.entry_price), backing, False),
            }  # fmt: skip
            self.events.append(Event("liquidation", time, -int(np.sign(held)), numbers))
        elif ledger.fills:
            self.events.append(self.fill(before, time))
        if position.quantity:
            self.events.append(self.snapshot())
        return True

    def fill(self, before: np.record, time: str) -> Event:
        position, ledger = self.simulation.positions[0, 0], self.simulation.ledgers[0, 0]
        traded = float(position.quantity - before.quantity)
        price = float(ledger.turnover) / abs(traded)
        closed = min(abs(traded), abs(before.quantity)) if traded * before.quantity < 0.0 else 0.0
        realised = float(unrealised_pnl(np.sign(before.quantity) * closed, before.entry_price, price, False))
        numbers = {
            "quantity": abs(traded), "price": price, "fee": -float(ledger.fees), "realised": realised,
            "value": float(ledger.turnover),
        }  # fmt: skip
        return Event("fill", time, int(np.sign(traded)), numbers)

    def snapshot(self) -> Event:
        s, position = self.simulation, self.simulation.positions[0, 0]
        row = s.tape.rows[int(s.accounts.row[0]) - 1, 0]
        terms = Terms(s.kernel_contracts[0, 0], s.kernel_config[0], s.tape.tiers, row)
        price = position_liquidation_price(position, terms, position.margin)
        numbers = {
            "quantity": abs(float(position.quantity)), "entry": float(position.entry_price),
            "mark": float(position.mark), "margin": float(position.margin), "unrealised": float(position.unrealised),
            "liquidation_price": 0.0 if math.isnan(price) else float(price), "tick": self.contract.tick_size,
        }  # fmt: skip
        return Event("position", str(s.time[0].astype("int64")), int(np.sign(position.quantity)), numbers)

    def number_of(self, kind: str) -> int:
        """Second event of a kind; a snapshot of a position that can be liquidated, a fill that closes something."""
        needed = {"position": "liquidation_price", "fill": "realised"}.get(kind)
        fitting = (
            k for k, e in enumerate(self.events) if e.kind == kind and (not needed or e.numbers[needed])
        )
        return [*fitting][1]

    def check(self, records: list[Record]) -> Reconciliation:
        lines = parse_records(records, self.name)
        return reconcile(lines, [self.contract], venue(self.name), self.settlements, marks=self.marks)


@pytest.fixture(scope="module", params=list(WRITERS))
def statement(request):
    return Statement(request.param)


def test_a_statement_that_the_simulator_wrote_reconciles(statement):
    kinds = [event.kind for event in statement.events]
    for kind in ("fill", "funding", "liquidation", "position"):
        assert kinds.count(kind) > 1, f"{kinds.count(kind)} of {kind}"
    found = statement.check(statement.records)
    assert found.differences.empty, str(found)
    assert not found.unchecked, found.unchecked[:3]
    assert found.checked > 2 * len(statement.records)


@pytest.mark.parametrize("format_", ["json", "csv"])
def test_it_reconciles_from_a_file(statement, format_, tmp_path):
    path = tmp_path / f"statement.{format_}"
    if format_ == "json":
        path.write_text(json.dumps(statement.records))
    else:
        names = sorted({name for record in statement.records for name in record})
        with path.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, names)
            writer.writeheader()
            writer.writerows(statement.records)
    lines = read_statement(path, statement.name)
    found = reconcile(
        lines, [statement.contract], venue(statement.name), statement.settlements, marks=statement.marks
    )
    assert found.differences.empty, str(found)


def is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def perturbed(text: str) -> str:
    """A little off: a ten-thousandth, and at least three units of eight decimals."""
    value = float(text)
    if len(text.partition(".")[2]) == 8:
        return money(value + max(3e-8, 1e-4 * abs(value)))
    return repr(value * (1.0 + 1e-4))


@pytest.mark.parametrize("kind", ["fill", "funding", "liquidation", "position"])
def test_every_perturbed_number_is_found_and_nothing_else(statement, kind):
    number = statement.number_of(kind)
    ignored = {"time", "execTime", "ts", "updateTime", "updatedTime", "uTime", "type"}
    ignored |= {"balChg"}  # repeats another field
    tried = 0
    for name, text in statement.records[number].items():
        if name in ignored or not is_number(text) or float(text) == 0.0:
            continue
        tried += 1
        records = [dict(record) for record in statement.records]
        records[number][name] = perturbed(text)
        lines = statement.check(records).differences["line"].tolist()
        assert min(lines, default=0) == number + 1, f"{name} {text} -> {records[number][name]}: {lines[:5]}"
        if name not in GIVEN.get(kind, ()):
            assert set(lines) == {number + 1}, f"{name}: {sorted(set(lines))[:5]}"
    assert tried >= 1


@pytest.mark.parametrize("kind", ["fill", "liquidation"])
def test_a_turned_side_is_found(statement, kind):
    number = statement.number_of(kind)
    if "side" not in statement.records[number]:
        pytest.skip("the record does not print a side")
    records = [dict(record) for record in statement.records]
    turned = {"BUY": "SELL", "SELL": "BUY", "Buy": "Sell", "Sell": "Buy", "buy": "sell", "sell": "buy"}
    records[number]["side"] = turned[records[number]["side"]]
    lines = statement.check(records).differences["line"].tolist()
    assert number + 1 <= min(lines, default=0) <= number + 2  # a fill shows it in the snapshot behind it


def test_a_line_that_is_missing_is_found(statement):
    number = statement.number_of("fill")
    records = statement.records[:number] + statement.records[number + 1 :]
    lines = statement.check(records).differences["line"]
    assert (
        number + 1 <= min(lines) <= number + 2
    )  # where it left nothing, the snapshot after the next fill shows it


def test_prices_of_a_liquidation_without_known_margin_are_said_to_be_unchecked(statement):
    records = [r for r, e in zip(statement.records, statement.events, strict=True) if e.kind != "position"]
    found = statement.check(records)
    assert found.differences.empty, str(found)
    assert any("no snapshot with margin" in reason for reason in found.unchecked)


def test_a_liquidation_left_out_is_missed_at_the_bar_in_which_it_was_due(statement):
    number = statement.number_of("liquidation")
    records = statement.records[:number] + statement.records[number + 1 :]
    found = statement.check(records).differences
    missed = found[found["field"] == "liquidation"]
    assert missed["line"].min() == number + 1
    time = np.datetime64(int(statement.events[number].time), "ms")
    assert f"due at {time}" in missed["rule"].iloc[0]


def test_marks_that_never_reach_a_liquidation_price_leave_every_liquidation_unexplained(statement):
    calm = statement.marks["SYN"]
    flat = {"SYN": MarkPath(calm.time, np.repeat(calm.prices[:, :1] * 0.0 + 1e-3, 4, axis=1), calm.bar)}
    lines = parse_records(statement.records, statement.name)
    table = reconcile(
        lines, [statement.contract], venue(statement.name), statement.settlements, marks=flat
    ).differences
    shorts = [k + 1 for k, e in enumerate(statement.events) if e.kind == "liquidation" and e.side > 0]
    unexplained = table[table["rule"].str.endswith("no mark reaches it")]["line"].tolist()
    assert unexplained == shorts  # a price of a tenth of a cent is far from every short's
