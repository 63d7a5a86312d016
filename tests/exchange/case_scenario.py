"""Scenario cases: a list of events for one isolated position, played by the functions that the kernel runs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from tests.exchange.case_inputs import Inputs, NotCoveredError, side_of

from gearing.exchange.account import (
    apply_fill,
    is_liquidated,
    position_liquidation_price,
    settle_funding,
)
from gearing.exchange.liquidation import liquidate_position
from gearing.exchange.path import walk_isolated
from gearing.exchange.records import (
    account_dtype,
    config_dtype,
    contract_dtype,
    ledger_dtype,
    position_dtype,
    records,
    row_dtype,
)
from gearing.exchange.rules import unrealised_pnl
from gearing.exchange.terms import Terms


def blank_position() -> np.recarray:
    positions = records(1, position_dtype)
    positions.stop = positions.take_profit = positions.trailing = np.nan
    return positions


class Player:
    """One account with one isolated position, told what happens step by step."""

    def __init__(self, x: Inputs):
        settings = x.raw.get("config") or {}
        self.x = x
        self.accounts, self.positions = records(1, account_dtype), blank_position()
        self.contracts, self.rules = records(1, contract_dtype), records(1, config_dtype)
        self.ledgers, self.tiers = records(1, ledger_dtype), x.tiers
        self.account, self.position = self.accounts[0], self.positions[0]
        self.contract, self.config, self.ledger = self.contracts[0], self.rules[0], self.ledgers[0]
        self.account.wallet_balance = float(x.raw["wallet"])
        self.contract.taker_fee = float(settings.get("taker_fee") or 0)
        self.contract.maker_fee = float(settings.get("maker_fee") or 0)
        self.contract.liquidation_fee = float(settings.get("liquidation_fee") or 0)
        self.contract.inverse = x.inverse
        settlement = settings.get("settlement") or "bankruptcy"
        if settlement not in ("bankruptcy", "fee_then_return"):
            raise NotCoveredError(f"settlement {settlement!r}")
        self.config.fee_then_return = settlement == "fee_then_return"
        self.config.tier_step_down = "tier_step_down" in settings.values() or settings.get("tier_step_down") in (
            True, "true",
        )  # fmt: skip
        self.ledger.liquidation_price = math.nan
        self.mark = math.nan
        self.paid, self.received, self.fund = 0.0, 0.0, 0.0  # by and to the insurance fund

    def note_fund(self) -> None:
        """Payments in both directions are told apart: one liquidation's surplus does not hide another's debt."""
        change = float(self.account.insurance) - self.fund
        self.paid, self.received = self.paid + max(0.0, change), self.received + max(0.0, -change)
        self.fund = float(self.account.insurance)

    def row(self, start: float, end: float) -> Any:
        rows = records(1, row_dtype)
        row = rows[0]
        for name in ("open", "mark_open"):
            row[name] = start
        for name in ("close", "mark_close"):
            row[name] = end
        for name, value in (("high", max(start, end)), ("low", min(start, end))):
            row[name] = row[f"mark_{name}"] = value
        row.tiers_last, row.tradable = self.tiers.size, 1
        return row

    def terms(self, start: float, end: float) -> Terms:
        return Terms(self.contract, self.config, self.tiers, self.row(start, end))

    def fill(self, step: dict[str, Any]) -> None:
        price, quantity = float(step["price"]), side_of(step["side"]) * float(step["qty"]) * self.x.multiplier
        leverage = float(step.get("leverage") or self.position.leverage or 1)
        maker = step.get("liquidity") == "maker" or step.get("maker") in (True, "true")
        rate = self.contract.maker_fee if maker else self.contract.taker_fee
        rate = float(step.get("fee_rate", rate))
        apply_fill(
            self.account,
            self.position,
            self.contract,
            self.config,
            self.ledger,
            quantity,
            price,
            leverage,
            rate,
        )
        self.mark = price

    def funding(self, step: dict[str, Any]) -> None:
        self.mark = float(step["mark"])
        if self.position.quantity == 0.0:
            return
        rate = float(step["rate"])
        pays = self.position.quantity * rate > 0.0
        settle_funding(self.account, self.position, self.contract, self.config, self.ledger, self.mark, rate)
        terms = self.terms(self.mark, self.mark)
        if pays and is_liquidated(self.position, terms, self.mark):
            liquidate_position(self.account, self.position, terms, self.ledger, self.mark)

    def walk(self, start: float, end: float) -> None:
        self.mark = end
        if self.position.quantity != 0.0:
            walk_isolated(self.account, self.position, self.terms(start, end), self.ledger)
            self.note_fund()

    def path(self, step: dict[str, Any]) -> None:
        marks = [float(mark) for mark in step["marks"]]
        for start, end in zip([marks[0], *marks], marks, strict=False):
            self.walk(start, end)

    def gap(self, step: dict[str, Any]) -> None:
        mark = float(step["mark"])
        self.walk(mark, mark)

    def play(self, step: dict[str, Any]) -> None:
        if step["op"] == "mark":
            self.mark = float(step["mark"])
        elif step["op"] in ("fill", "funding", "path", "gap"):
            getattr(self, step["op"])(step)
            self.note_fund()
        elif step["op"] in ("add_margin", "transfer_margin", "margin"):
            amount = float(step.get("amount", step.get("value")))
            self.position.margin += amount
            self.account.assigned += amount
        else:
            raise NotCoveredError(f"scenario step {step['op']!r}")

    @property
    def unrealised(self) -> float:
        if self.position.quantity == 0.0:
            return 0.0
        return unrealised_pnl(
            self.position.quantity, self.position.entry_price, self.mark, self.contract.inverse
        )

    def liquidation_price(self) -> float:
        if self.ledger.liquidations or self.ledger.partial_liquidations:
            return float(self.ledger.liquidation_price)
        if self.position.quantity == 0.0:
            return math.nan
        terms = self.terms(self.mark, self.mark)
        return position_liquidation_price(self.position, terms, self.position.margin)

    def state(self) -> dict[str, Any]:
        held, wallet = self.position.quantity, float(self.account.wallet_balance)
        unrealised = self.unrealised
        position = None
        if held != 0.0:
            position = {
                "side": "long" if held > 0.0 else "short", "qty": abs(held) / self.x.multiplier,
                "entry": self.position.entry_price, "margin": self.position.margin,
                "unrealized_pnl": unrealised, "liquidation_price": self.liquidation_price(),
            }  # fmt: skip
        fund = float(self.account.insurance)
        return {
            "fees": -self.ledger.fees, "funding": self.ledger.funding, "wallet": wallet,
            "equity": wallet + unrealised, "liquidated": bool(self.ledger.liquidations),
            "liquidation_price": self.liquidation_price(), "position": position,
            "insurance_paid": self.paid, "insurance_received": self.received, "insurance": fund,
            "realized_pnl": self.ledger.price_pnl, "unrealized_pnl": unrealised, "unrealized": unrealised,
            "margin": float(self.position.margin), "position_margin": float(self.position.margin),
            "isolated_margin": float(self.position.margin), "free_balance": wallet - float(self.account.assigned),
            "free": wallet - float(self.account.assigned), "execution_price": self.ledger.execution_price,
            "liquidations": self.ledger.liquidations, "partial_liquidations": self.ledger.partial_liquidations,
        }  # fmt: skip


def play(x: Inputs) -> dict[str, Any]:
    """Ledger after all steps of a scenario case."""
    player = Player(x)
    for step in x.raw["steps"]:
        player.play(step)
    return player.state()


def play_fills(x: Inputs) -> dict[str, Any]:
    """Quantity, entry price and realised profit net of fees after a list of fills with plenty of margin."""
    x.raw = {"wallet": "1e15", "leverage": "1", "tiers": [{"mmr": "0.005"}], **x.raw}
    player = Player(x)
    player.contract.taker_fee = x.get("fee_rate", default=0.0)
    for fill in x.raw["fills"]:
        player.fill({"leverage": "1", **fill})
    held = float(player.position.quantity)
    fees = -float(player.ledger.fees)
    return {
        "qty": abs(held) / x.multiplier, "side": "long" if held > 0 else "short" if held < 0 else "flat",
        "average_entry": float(player.position.entry_price), "entry": float(player.position.entry_price),
        "realized_pnl": float(player.ledger.price_pnl) - fees, "fees": fees,
        "gross_pnl": float(player.ledger.price_pnl), "quantity": held / x.multiplier,
    }  # fmt: skip
