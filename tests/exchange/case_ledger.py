"""Scenario cases of one isolated linear position: random steps, and their ledger in exact decimals from the rules.

Sections 2, 3, 6 and 7 of the exchange rules: fills, funding with its liquidation test, a mark path that crosses the
liquidation price continuously, gaps, both settlements, the insurance fund.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
from tests.exchange.case_formulas import ladder, margin_of, text

D = Decimal
ZERO = D(0)


def random_steps(rng: np.random.Generator) -> dict[str, Any]:
    """A wallet that always suffices, and up to nine steps about a price of 100."""
    price, steps = 100.0, []
    for _ in range(int(rng.integers(3, 10))):
        op = str(rng.choice(["fill", "funding", "path", "gap", "mark"], p=[0.4, 0.2, 0.25, 0.1, 0.05]))
        if op == "fill" or not steps:
            step = {
                "op": "fill", "side": str(rng.choice(["buy", "sell"])), "qty": text(rng.uniform(50, 4000), 1),
                "price": text(price, 2), "leverage": str(int(rng.choice([5, 10, 20, 40]))),
            }  # fmt: skip
        elif op == "path":
            marks = price * np.exp(np.cumsum(rng.normal(0, 0.04, 3)))
            step, price = {"op": "path", "marks": [text(x, 3) for x in (price, *marks)]}, float(marks[-1])
        else:
            price *= float(np.exp(rng.normal(0, 0.06 if op == "gap" else 0.01)))
            step = {"op": op, "mark": text(price, 3)}
            if op == "funding":
                step["rate"] = text(rng.normal(0, 0.005), 5)
        steps.append(step)
    config = {
        "taker_fee": "0.0005", "liquidation_fee": str(rng.choice(["0", "0.002", "0.0125"])),
        "settlement": str(rng.choice(["bankruptcy", "fee_then_return"])),
    }  # fmt: skip
    return {"wallet": "1000000", "config": config, "tiers": ladder(rng, D(200_000)), "steps": steps}


class Ledger:
    """One account by the text of the rules."""

    def __init__(self, inputs: dict[str, Any]):
        self.tiers, self.config = inputs["tiers"], inputs["config"]
        self.wallet, self.fees, self.funding, self.paid = D(inputs["wallet"]), ZERO, ZERO, ZERO
        self.q, self.entry, self.margin, self.mark = ZERO, ZERO, ZERO, ZERO
        self.liquidated = False

    def profit(self, price: D, q: D | None = None) -> D:
        return (self.q if q is None else q) * (price - self.entry)

    def surplus(self, price: D) -> D:
        return self.margin + self.profit(price) - margin_of(abs(self.q) * price, self.tiers)

    def fill(self, step: dict[str, Any]) -> None:
        q = D(step["qty"]) * (1 if step["side"] == "buy" else -1)
        price, leverage = D(step["price"]), D(step["leverage"])
        fee = abs(q) * price * D(self.config["taker_fee"])
        self.wallet, self.fees, self.mark = self.wallet - fee, self.fees + fee, price
        if self.q * q < 0:
            closed = -q if abs(q) < abs(self.q) else self.q  # signed as the position
            released = self.margin * closed / self.q
            gain = self.profit(price, closed)
            if released + gain < 0:  # nobody owes: a fill past the bankruptcy price
                self.paid -= released + gain
                gain = -released
            self.wallet, self.margin = self.wallet + gain, self.margin - released
            self.q, q = self.q - closed, q + closed
        if q:
            self.entry = (self.q * self.entry + q * price) / (self.q + q)
            self.q += q
            self.margin += abs(q) * price / leverage

    def settle(self, step: dict[str, Any]) -> None:
        self.mark = D(step["mark"])
        cash = -self.q * self.mark * D(step["rate"])
        self.wallet, self.margin, self.funding = self.wallet + cash, self.margin + cash, self.funding + cash
        if cash < 0 and self.surplus(self.mark) <= 0:
            self.liquidate(self.mark)

    def walk(self, start: D, end: D) -> None:
        self.mark = end
        if self.q == 0 or self.surplus(start) <= 0 or self.surplus(end) > 0:
            if self.q and self.surplus(start) <= 0:
                self.liquidate(start)
            return
        safe, hit = start, end  # B - MM falls towards the end: halve until the fiftieth digit
        for _ in range(120):
            middle = (safe + hit) / 2
            safe, hit = (safe, middle) if self.surplus(middle) <= 0 else (middle, hit)
        self.liquidate(hit)

    def liquidate(self, mark: D) -> None:
        rest = self.margin + self.profit(mark)
        back = ZERO
        if self.config["settlement"] == "fee_then_return":
            back = max(ZERO, rest - D(self.config["liquidation_fee"]) * abs(self.q) * mark)
        self.paid += max(ZERO, -rest)
        self.received = max(ZERO, rest - back)
        self.wallet += back - self.margin
        self.q = self.entry = self.margin = ZERO
        self.liquidated = True


def replay(inputs: dict[str, Any]) -> dict[str, Any]:
    """Ledger after all steps, with the names of the cases."""
    ledger = Ledger(inputs)
    for step in inputs["steps"]:
        if step["op"] == "fill":
            ledger.fill(step)
        elif step["op"] == "funding":
            ledger.settle(step)
        elif step["op"] == "mark":
            ledger.mark = D(step["mark"])
        else:
            marks = [D(x) for x in step.get("marks", [step.get("mark")])]
            for start, end in zip([marks[0], *marks], marks, strict=False):
                ledger.walk(start, end)
    position = None
    if ledger.q:
        position = {
            "side": "long" if ledger.q > 0 else "short", "qty": abs(ledger.q), "entry": ledger.entry,
            "margin": ledger.margin, "unrealized_pnl": ledger.profit(ledger.mark),
        }  # fmt: skip
    return {
        "wallet": ledger.wallet, "equity": ledger.wallet + ledger.profit(ledger.mark), "fees": ledger.fees,
        "funding": ledger.funding, "liquidated": ledger.liquidated, "position": position,
        "insurance_paid": ledger.paid,
    }  # fmt: skip
