"""Snapshots of positions and summaries of closed ones: profit, value, margin and liquidation price."""

from collections.abc import Mapping
from dataclasses import dataclass

from gearing.contracts import Contract
from gearing.evaluation.reconcile.liquidations import Held, Liquidations
from gearing.evaluation.reconcile.outcome import Sheet
from gearing.evaluation.reconcile.records.line import API_DECIMALS, Line
from gearing.evaluation.reconcile.records.row import decimals_of
from gearing.exchange.rules import notional, unrealised_pnl

_ENTRY_DECIMALS = 5  # of an average price, at least


@dataclass
class Snapshots:
    """Checks positions that a statement prints against the replay's and against themselves."""

    contracts: Mapping[str, Contract]
    sheet: Sheet
    liquidations: Liquidations

    def position(self, line: Line, held: Held) -> None:
        """A snapshot: profit, value and liquidation price from its own entry price, size and margin."""
        contract = self.contracts[line.symbol]
        quantity, entry = self._signed(line), float(line.given["entry"])
        if held.traded and held.known:
            self.sheet.compare(line, "quantity", abs(held.quantity) / contract.multiplier, "fills")
            if quantity == 0.0:
                return
            self.sheet.compare(line, "entry", held.entry, "average entry price")
            if quantity * held.quantity < 0.0:
                self.sheet.differs(line, "side", str(line.side), -line.side, "fills")
        else:  # a statement that begins with a position
            held.quantity, held.entry, held.known = quantity, entry, True
        self._marked(line, contract, quantity, entry)
        self._backing(line, held, quantity, entry)

    def _signed(self, line: Line) -> float:
        """Signed quantity: base coins, or quote where inverse."""
        return line.side * abs(float(line.given["quantity"])) * self.contracts[line.symbol].multiplier

    def _marked(self, line: Line, contract: Contract, quantity: float, entry: float) -> None:
        """Profit and value at the mark; some records value at the entry price."""
        inverse, step = contract.kind == "inverse", entry_step(line, contract)
        values = [notional(quantity, entry, inverse)]
        slack = abs(values[0] - notional(quantity, entry + step, inverse))
        if "mark" in line.given:
            mark = float(line.given["mark"])
            values.append(notional(quantity, mark, inverse))
            profit = unrealised_pnl(quantity, entry, mark, inverse)
            self.sheet.compare(line, "unrealised", profit, "pnl", slack)
            if "wallet" in line.given:
                balance = float(line.given["wallet"]) + float(line.printed.get("unrealised", profit))
                self.sheet.compare(line, "margin_balance", balance, "margin + profit", total=True)
        elif "unrealised" in line.printed:  # the mark shows in the profit
            gained = float(line.printed["unrealised"]) * line.side * (-1.0 if inverse else 1.0)
            values.append(values[0] + gained)
        printed = abs(float(line.printed.get("value", "0")))
        nearest = min(values, key=lambda value: abs(value - printed))
        self.sheet.compare(
            line, "value", nearest, "notional", slack if nearest == values[0] else 0.0, total=True
        )

    def _backing(self, line: Line, held: Held, quantity: float, entry: float) -> None:
        """The margin of a snapshot, and the liquidation price that follows from it."""
        contract = self.contracts[line.symbol]
        inverse, step = contract.kind == "inverse", entry_step(line, contract)
        printed = "liquidation_price" in line.printed and "liquidation_price" not in line.unread
        if not {"wallet", "leverage"} & set(line.given):
            if printed:
                self.sheet.leave(line, "liquidation price without wallet or leverage")
            return
        held.backing = notional(quantity, entry, inverse) / float(line.given.get("leverage", "1"))
        held.unit = 0.0
        if "posted" in line.given and inverse:
            held.backing = self.liquidations.added_margin(line, quantity, entry)
        elif "wallet" in line.given:
            held.backing = float(line.given["wallet"])
            held.unit = 10.0 ** -max(API_DECIMALS, decimals_of(line.given["wallet"]))
        if not printed:
            return
        if line.symbol in self.liquidations.tierless:
            self.sheet.leave(
                line, f"the margin tiers of {line.symbol} are not known; give them with --contracts or --data"
            )
            return
        price, rule = self.liquidations.price(line, quantity, entry, held.backing)
        moved = self.liquidations.price(line, quantity, entry + step, held.backing + held.unit)[0]
        slack = abs(moved - price) if moved == moved and price == price and "wallet" in line.given else 0.0
        self.sheet.compare(line, "liquidation_price", price, rule, slack)

    def closed(self, line: Line, held: Held) -> None:
        """The summary of a closed position: its profit from its own average prices."""
        entry, price = float(line.given["entry"]), float(line.given["price"])
        quantity, inverse = self._signed(line), self.contracts[line.symbol].kind == "inverse"
        profit = unrealised_pnl(quantity, entry, price, inverse)
        steps = [10.0 ** -decimals_of(line.given[name]) for name in ("entry", "price")]
        slack = abs(unrealised_pnl(quantity, entry - steps[0], price + steps[1], inverse) - profit)
        self.sheet.compare(line, "realised", profit, "pnl of the average prices", slack)
        if "fees" in line.given:
            self.sheet.compare(line, "net", profit - float(line.given["fees"]), "pnl - fees", slack)
        for name, average, step in zip(("entry_value", "exit_value"), (entry, price), steps, strict=True):
            moved = notional(quantity, max(average - step, step), inverse)
            value = notional(quantity, average, inverse)
            self.sheet.compare(line, name, value, "notional", abs(moved - value), total=True)


def entry_step(line: Line, contract: Contract) -> float:
    """How far the printed entry price may be away from the venue's: it is an average."""
    exact = 10.0 ** -max(_ENTRY_DECIMALS, decimals_of(line.given["entry"]))
    return min(contract.tick_size, exact) if contract.tick_size else exact
