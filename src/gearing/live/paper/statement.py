"""The paper account's statement, in the format of its venue's interface, for ``gearing reconcile``."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import numpy as np

from gearing.contracts import Contract, VenueProfile
from gearing.live.paper.accounts import PAPER
from gearing.live.paper.deciding import guards_of, targets_of
from gearing.live.paper.markets import traded_market, warm_up
from gearing.live.paper.run import PaperError, PaperRun
from gearing.live.paper.trace import Happening, Trace
from gearing.live.statements import binance, bybit, okx
from gearing.live.statements.events import ZERO, Event, Traded
from gearing.storage.atomic import write_text

_DIGITS = {"okx": 10}  # decimals of booked amounts, else 8
_HOUR = 3_600_000
_SAME = 1e-9  # relative: sums of doubles in another order


def write_statement(run: PaperRun, folder: Path) -> list[Path]:
    """Write the records of the paper account, and what reconciling them needs: contracts and settled rates.

    Raises
    ------
    PaperError
        For a venue whose records are not written, or an account that holds nothing yet.
    """
    venue = run.bundle.manifest.venue
    if venue.name not in WRITERS:
        raise PaperError(
            f"a statement of {venue.name} is not written; the venues are {', '.join(WRITERS)}. Export the bundle with "
            "one of them."
        )
    if not run.intervals:
        raise PaperError(
            f"{run.journal.path} holds no whole decision interval, so there is no statement yet."
        )
    happened = _happened(run)
    events = _Books(run.bundle.manifest.contracts, venue).of(run, happened)
    contents: dict[str, Any] = WRITERS[venue.name](events)
    contents["contracts.json"] = [contract.to_dict() for contract in run.bundle.manifest.contracts]
    paths = []
    for name, rows in contents.items():
        if rows:
            write_text(folder / name, json.dumps(rows, indent=1) + "\n")
            paths.append(folder / name)
    if any(event.kind == "funding" for event in events):
        write_text(folder / "settlements.csv", _settlements(events))
        paths.append(folder / "settlements.csv")
    return paths


def _happened(run: PaperRun) -> list[Happening]:
    """The account bar by bar, up to its last whole interval; it must arrive where the ledger does."""
    about = run.bundle.manifest
    start: np.datetime64 = np.datetime64(run.decisions[0]["time"], "ms")
    warm = warm_up(run.bar, about.config.slippage.impact > 0.0)
    end = start + len(run.intervals) * run.interval
    begins: Any = start - warm
    known = run.all_bars()
    assert known is not None
    market = traded_market(known, about.contracts, about.venue.name, run.bar, begins, end)
    trace = Trace(market, run.accounts.config, start, _DIGITS.get(about.venue.name, 8))
    decisions = {
        line["time"]: (targets_of([line["paper"]], run.symbols), guards_of([line["paper"]], run.symbols))
        for line in run.decisions
    }
    happened = list(trace.play(decisions))
    ours, theirs = trace.simulator.accounts[0], run.accounts.accounts[PAPER]
    same = math.isclose(float(ours.wallet_balance), float(theirs.wallet_balance), rel_tol=_SAME)
    held = trace.simulator.positions.quantity[0], run.accounts.positions.quantity[PAPER]
    if not same or not np.allclose(*held, rtol=_SAME):
        raise PaperError(
            f"bar by bar the paper account ends with {float(ours.wallet_balance):,.8f}, decision by decision with "
            f"{float(theirs.wallet_balance):,.8f}. This is a fault in gearing; report it with the journal."
        )
    return happened


class _Books:
    """Books happenings as the venue does: exact decimals, each amount rounded once."""

    def __init__(self, contracts: tuple[Contract, ...], venue: VenueProfile):
        self.venue, self.contracts = venue, contracts
        self.traded = [_traded(contract) for contract in contracts]
        self.digits = _DIGITS.get(venue.name, 8)
        self.events: list[Event] = []
        self.balance = ZERO

    def of(self, run: PaperRun, happened: Iterable[Happening]) -> list[Event]:
        """All events: the deposit, what happened, the positions at the end."""
        first, coin = run.decisions[0]["time"], self.contracts[0].settle
        deposit = _exact(float(run.journal.records[0]["equity"]))
        self._add("transfer", first - _HOUR, coin, amount=deposit)
        maker = run.accounts.config.order == "maker"
        for one in happened:
            self._book(one, maker, run.accounts.config.fee_level)
        return self.events

    def _add(self, kind: str, time: int, coin: str, **values: Any) -> None:
        self.balance += values.get("amount", ZERO)
        self.events.append(Event(kind, time, len(self.events) + 1, coin, balance=self.balance, **values))

    def _booked(self, amount: float | Decimal) -> Decimal:
        exact = amount if isinstance(amount, Decimal) else _exact(amount)
        return exact.quantize(Decimal(1).scaleb(-self.digits), rounding=ROUND_HALF_UP)

    def _units(self, quantity: float, j: int) -> Decimal:
        units, lot = _exact(quantity) / self.traded[j].size, self.traded[j].lot
        return _on_grid(units, lot) or units

    def _book(self, one: Happening, maker: bool, level: str | None) -> None:
        traded, j = self.traded[one.contract], one.contract
        quantity = self._units(abs(one.quantity), j)
        price = _exact(one.price)
        if one.kind != "funding":
            price = _printed(one.price, ZERO if one.kind == "position" else traded.tick)
        common: dict[str, Any] = {
            "contract": traded, "side": 1 if one.quantity > 0 else -1, "quantity": quantity, "price": price,
            "before": self._units(one.before, j), "after": self._units(one.after, j), "entry": _exact(one.entry),
            "value": self._booked(_worth(traded, quantity, price)),
        }  # fmt: skip
        if one.kind == "position":
            self._state(one, common)
            return
        if one.kind == "funding":
            self._add(
                "funding",
                one.time,
                traded.settle,
                rate=_exact(one.rate),
                amount=self._booked(one.funding),
                **common,
            )
            return
        if one.kind == "liquidation":
            self._liquidation(one, common)
            return
        taker_fee, maker_fee = (
            (self.venue.taker_fee, self.venue.maker_fee) if level is None else self.venue.fees(level)
        )
        closed = min(quantity, abs(common["before"])) if one.before * one.quantity < 0.0 else ZERO
        held = closed if one.before > 0.0 else -closed
        fee, realised = self._booked(one.fee), self._booked(_profit(traded, held, common["entry"], price))
        rate = ZERO if one.kind != "fill" else _exact(maker_fee if maker else taker_fee)
        self._add(
            one.kind, one.time, traded.settle, fee=fee, fee_coin=traded.settle, realised=realised, closed=closed,
            rate=rate, maker=maker, amount=realised - fee, **common,
        )  # fmt: skip

    def _liquidation(self, one: Happening, common: dict[str, Any]) -> None:
        """Closed at the bankruptcy price; Binance sells where the mark triggers, and takes what is left."""
        traded, quantity = common["contract"], common["quantity"]
        held = quantity if one.before > 0.0 else -quantity
        bust, trigger = common["price"], _printed(one.trigger, ZERO)
        lost = self._booked(_profit(traded, held, common["entry"], bust))
        sells = self.venue.name.startswith("binance")
        common |= {
            "price": trigger if sells else bust,
            "mark": bust if sells else trigger,
            "closed": quantity,
        }
        common["value"] = self._booked(_worth(traded, quantity, common["price"]))
        realised = self._booked(_profit(traded, held, common["entry"], common["price"]))
        self._add(
            "liquidation",
            one.time,
            traded.settle,
            realised=realised,
            fee_coin=traded.settle,
            amount=realised,
            **common,
        )
        if sells and lost != realised:
            self._add("insurance", one.time, traded.settle, contract=traded, amount=lost - realised)

    def _state(self, one: Happening, common: dict[str, Any]) -> None:
        """A position, as the venue shows it."""
        traded, price = common["contract"], one.liquidation_price
        profit = _profit(traded, common["after"], common["entry"], common["price"])
        self._add(
            "position", one.time, traded.settle, mark=common["price"], margin=self._booked(one.margin),
            leverage=_exact(one.leverage), realised=self._booked(profit),
            liquidation_price=ZERO if math.isnan(price) else _exact(price), **common,
        )  # fmt: skip


def _traded(contract: Contract) -> Traded:
    size = Decimal(repr(contract.multiplier))
    lot = Decimal(repr(contract.lot_size)) / size
    base = contract.symbol.split(contract.settle)[0].rstrip("-_/") or contract.symbol
    return Traded(
        contract.symbol, base, contract.settle, Decimal(repr(contract.tick_size)), lot,
        inverse=contract.kind == "inverse", size=size,
    )  # fmt: skip


def _exact(value: float) -> Decimal:
    return Decimal(repr(float(value)))


def _on_grid(value: Decimal, step: Decimal) -> Decimal | None:
    """The number of steps that a value is but for binary rounding; None where it is none."""
    if step <= 0:
        return None
    nearest = (value / step).quantize(Decimal(1)) * step
    return nearest if abs(nearest - value) <= abs(value) * Decimal("1e-12") else None


def _printed(price: float, tick: Decimal) -> Decimal:
    """The price of a fill, on its tick; others, as of a liquidation, have eight decimals."""
    on_tick = _on_grid(_exact(price), tick)
    return _exact(price).quantize(Decimal("1e-8")) if on_tick is None else on_tick


def _worth(traded: Traded, quantity: Decimal, price: Decimal) -> Decimal:
    units = quantity * traded.size
    return units / price if traded.inverse else units * price


def _profit(traded: Traded, quantity: Decimal, entry: Decimal, price: Decimal) -> Decimal:
    """Profit of a signed quantity between two prices."""
    units = quantity * traded.size
    return units * (1 / entry - 1 / price) if traded.inverse else units * (price - entry)


def _of_binance(events: list[Event]) -> dict[str, Any]:
    forced = [binance.forced(e) for e in events if e.kind == "liquidation"]
    return {
        "userTrades.json": [binance.trade(e) for e in events if e.kind in binance.TRADING],
        "income.json": [row for e in events if e.kind != "position" for row in binance.income(e)],
        "forceOrders.json": forced,
        "positionRisk.json": [binance.position(e) for e in events if e.kind == "position"],
    }


def _of_bybit(events: list[Event]) -> dict[str, Any]:
    wrap = bybit.answer("inverse" if any(e.contract and e.contract.inverse for e in events) else "linear")
    return {
        "executions.json": wrap([bybit.execution(e) for e in events[::-1] if e.kind in bybit.EXECUTED]),
        "transaction-log.json": wrap([bybit.log(e) for e in events[::-1] if e.kind != "position"]),
        "positions.json": wrap([bybit.position(e) for e in events if e.kind == "position"]),
    }


def _of_okx(events: list[Event]) -> dict[str, Any]:
    moved, bills = ZERO, []
    for e in events:
        if (
            e.kind != "position"
        ):  # funding of an isolated position moves its margin, not the account's balance
            row = okx.bill(e, isolated=True)
            moved += Decimal(row["posBalChg"])
            bills.append(row | {"bal": f"{e.balance - moved:.16f}"})
    fills = [okx.fill(e) for e in events[::-1] if e.kind in ("fill", "adl", "liquidation")]
    return {
        "fills.json": okx.answer(fills),
        "bills.json": okx.answer(bills[::-1]),
        "positions.json": okx.answer([okx.position(e) for e in events if e.kind == "position"]),
    }


WRITERS: dict[str, Callable[[list[Event]], dict[str, Any]]] = {
    "binance-usdm": _of_binance,
    "binance-coinm": _of_binance,
    "bybit": _of_bybit,
    "okx": _of_okx,
}


def _settlements(events: list[Event]) -> str:
    lines = []
    for e in events:
        if e.kind == "funding" and e.contract is not None:
            time = np.datetime64(e.time, "ms").astype("datetime64[s]")
            lines.append(f"{e.contract.symbol},{str(time).replace('T', ' ')},{e.rate},{e.price}")
    return "\n".join(["symbol,time,rate,mark", *dict.fromkeys(lines)]) + "\n"
