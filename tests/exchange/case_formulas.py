"""The formula of every rule name of the conformance cases in exact decimals, with random inputs to it.

The formulas are those of sections 2 to 7 and 9b of the exchange rules, written down once more from the text; where a
rule tries tiers, the answer here is found by bisection of margin balance less maintenance margin.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

import numpy as np

D = Decimal
Draw = Callable[[np.random.Generator], tuple[dict[str, Any], Any]]
FORMULAS: dict[str, Draw] = {}
INVERSE = {"liq.inverse", "bust.inverse", "im.inverse", "im.rate_inverse", "avg.inverse", "fee.inverse", "pnl.inverse",
           "notional.inverse", "funding.inverse", "cost.bybit.inverse"}  # fmt: skip


def formula(*names: str) -> Callable[[Draw], Draw]:
    def register(function: Draw) -> Draw:
        FORMULAS.update(dict.fromkeys(names, function))
        return function

    return register


def is_inverse(name: str) -> bool:
    return any(name.startswith(start) for start in INVERSE)


def text(value: float, digits: int = 6) -> str:
    return f"{value:.{digits}f}"


def uniform(rng: np.random.Generator, low: float, high: float, digits: int = 6) -> str:
    return text(float(np.exp(rng.uniform(np.log(low), np.log(high)))), digits)


def ladder(rng: np.random.Generator, at: D) -> list[dict[str, str]]:
    """Continuous tiers with floors about a notional ``at``; amounts by the recursion of section 4."""
    floors = [D(0), *sorted(D(text(float(at) * x, 2)) for x in rng.uniform(0.3, 2.0, rng.integers(0, 4)))]
    rates = [
        D("0.004") * (k + 1) + D("0.001") * int(rng.integers(0, 3)) * (k > 0) for k in range(len(floors))
    ]
    amounts = [D(0)]
    for k in range(1, len(floors)):
        amounts.append(amounts[-1] + floors[k] * (rates[k] - rates[k - 1]))
    caps = [*floors[1:], D("1e15")]
    return [
        {"floor": str(f), "cap": str(c), "mmr": str(r), "cum": str(a), "max_leverage": str(int(D("0.5") / r))}
        for f, c, r, a in zip(floors, caps, rates, amounts, strict=True)
    ]


def margin_of(value: D, tiers: list[dict[str, str]]) -> D:
    tier = [t for t in tiers if D(t["floor"]) <= value][-1]
    return value * D(tier["mmr"]) - D(tier["cum"])


def value_at(size: D, price: D, inverse: bool) -> D:
    return size / price if inverse else size * price


def profit_at(side: int, size: D, entry: D, price: D, inverse: bool) -> D:
    return side * size * (1 / entry - 1 / price if inverse else price - entry)


def falling_root(surplus: Callable[[D], D], safe: D, end: D) -> D | None:
    """Where a surplus that falls from ``safe`` to ``end`` crosses zero; None if it never does. Geometric bisection."""
    if surplus(end) > 0:
        return None
    for _ in range(120):
        middle = (safe * end).sqrt()
        safe, end = (safe, middle) if surplus(middle) <= 0 else (middle, end)
    return end


class Drawn:
    """A position of a random case: texts for the case, decimals for the formula."""

    def __init__(self, rng: np.random.Generator, inverse: bool):
        self.side = int(rng.choice([1, -1]))
        self.inverse = inverse
        self.entry = D(uniform(rng, 0.05, 50_000, 4))
        notional = D(uniform(rng, 100, 2e6, 2))
        self.qty = D(text(float(notional * self.entry if inverse else notional / self.entry), 3)) + D("0.001")
        self.leverage = D(str(int(rng.integers(2, 60))))
        self.margin = value_at(self.qty, self.entry, inverse) / self.leverage
        self.tiers = ladder(rng, value_at(self.qty, self.entry, inverse))
        self.single = [{"mmr": self.tiers[0]["mmr"], "cum": "0"}]
        self.rate = D(self.tiers[0]["mmr"])
        self.fee = D(str(rng.choice(["0.0004", "0.0005", "0.00055", "0.0006"])))
        self.mark = D(text(float(self.entry) * rng.uniform(0.8, 1.2), 4)) + D("0.0001")

    @property
    def inputs(self) -> dict[str, Any]:
        return {
            "mode": "isolated", "side": "long" if self.side > 0 else "short", "qty": str(self.qty),
            "entry": str(self.entry), "leverage": str(self.leverage),
        }  # fmt: skip

    def surplus(self, wallet: D, tiers: list[dict[str, str]]) -> Callable[[D], D]:
        def at(price: D) -> D:
            value = value_at(self.qty, price, self.inverse)
            return (
                wallet
                + profit_at(self.side, self.qty, self.entry, price, self.inverse)
                - margin_of(value, tiers)
            )

        return at

    def price_of(self, wallet: D, tiers: list[dict[str, str]]) -> D | None:
        """Liquidation price on either side of the entry; far out counts as none."""
        surplus = self.surplus(wallet, tiers)
        far = self.entry / D("1e11") if self.side > 0 else self.entry * D("1e11")
        if surplus(self.entry) > 0:
            return falling_root(surplus, self.entry, far)
        return falling_root(surplus, self.entry**2 / far, self.entry)  # beyond the entry already


# --- liquidation and bankruptcy


def at_mark(rng: np.random.Generator, inverse: bool) -> tuple[dict[str, Any], Any]:
    p = Drawn(rng, inverse)
    inputs, wallet = {**p.inputs, "tiers": p.tiers}, p.margin
    if rng.random() < 0.5:
        wallet = D(text(float(p.margin) * rng.uniform(0.6, 3.0), 8))
        inputs["wallet"] = str(wallet)
    backing = wallet
    if not inverse and rng.random() < 0.5:
        inputs["mode"], inputs["others"] = "cross", []
        inputs["wallet"] = str(wallet)
        for _ in range(int(rng.integers(1, 3))):
            size, entry = D(uniform(rng, 0.01, 2, 3)) + 1, D(uniform(rng, 1, 20, 3))
            mark, side = entry * D("1.01"), int(rng.choice([1, -1]))
            inputs["others"].append(
                {"side": "long" if side > 0 else "short", "qty": str(size), "entry": str(entry), "mark": str(mark),
                 "mmr": "0.01", "cum": "0"}
            )  # fmt: skip
            backing += side * size * (mark - entry) - size * mark * D("0.01")
    return inputs, p.price_of(backing, p.tiers)


@formula("liq.linear.mm_at_mark")
def _(rng: np.random.Generator) -> tuple[dict[str, Any], Any]:
    return at_mark(rng, False)


@formula("liq.inverse.mm_at_mark")
def _(rng: np.random.Generator) -> tuple[dict[str, Any], Any]:
    return at_mark(rng, True)


def on_tick(price: D, tick: D, side: int) -> D:
    """Towards the entry: a long's liquidation price up, a short's down."""
    return (price / tick).to_integral_value(ROUND_CEILING if side > 0 else ROUND_FLOOR) * tick


@formula("liq.linear.mm_at_entry")
def _(rng: np.random.Generator) -> tuple[dict[str, Any], Any]:
    p, tick = Drawn(rng, False), D("0.01")
    price = p.entry - p.side * (p.margin - margin_of(p.qty * p.entry, p.tiers)) / p.qty
    inputs = {**p.inputs, "tiers": p.tiers, "tick": str(tick), "rounding": "conservative"}
    return inputs, on_tick(price, tick, p.side) if price > 0 else None


@formula("liq.linear.mm_at_mark_plus_fee")
def _(rng: np.random.Generator) -> tuple[dict[str, Any], Any]:
    p = Drawn(rng, False)
    price = (p.entry - p.side * p.margin / p.qty) / (1 - p.side * (p.rate + p.fee))
    return {**p.inputs, "tiers": p.single, "fee_rate": str(p.fee)}, price


@formula("liq.inverse.mm_at_entry")
def _(rng: np.random.Generator) -> tuple[dict[str, Any], Any]:
    p, tick = Drawn(rng, True), D("0.01")
    extra = D(text(float(p.margin) * rng.uniform(0, 1), 8))
    wallet = p.margin + extra / (1 + p.side * p.fee)
    below = p.qty / p.entry + p.side * (wallet - margin_of(p.qty / p.entry, p.tiers))
    inputs = {
        **p.inputs, "tiers": p.tiers, "extra_margin": str(extra), "fee_rate": str(p.fee), "tick": str(tick),
    }  # fmt: skip
    return inputs, on_tick(p.qty / below, tick, p.side) if below > D("1e-9") else None


@formula("liq.inverse.mm_at_entry_with_fee")
def _(rng: np.random.Generator) -> tuple[dict[str, Any], Any]:
    p = Drawn(rng, True)
    bust = (1 + p.side * p.fee) * p.qty / (p.qty / p.entry + p.side * p.margin)
    spare = p.margin - p.rate * p.qty / p.entry - p.fee * p.qty / bust
    return {**p.inputs, "tiers": p.single, "fee_rate": str(p.fee), "wallet": str(p.margin)}, 1 / (
        1 / p.entry + p.side * spare / p.qty
    )


@formula("liq.inverse.okx_product")
def _(rng: np.random.Generator) -> tuple[dict[str, Any], Any]:
    p = Drawn(rng, True)
    price = p.qty * (1 + p.side * p.rate) * (1 + p.side * p.fee) / (p.qty / p.entry + p.side * p.margin)
    return {**p.inputs, "tiers": p.single, "fee_rate": str(p.fee)}, price


@formula("liq.kucoin_cross_amr")
def _(rng: np.random.Generator) -> tuple[dict[str, Any], Any]:
    p = Drawn(rng, False)
    ratio = D(uniform(rng, 0.01, 0.5))
    signed = p.side * p.qty
    price = (signed * p.mark - p.qty * p.mark * ratio) / (1 - p.side * (p.rate + p.fee)) / signed
    return {
        **p.inputs,
        "mark": str(p.mark),
        "mmr": str(p.rate),
        "fee_rate": str(p.fee),
        "amr": str(ratio),
    }, price


@formula("bust.linear", "bust.inverse")
def _(rng: np.random.Generator, inverse: bool = False) -> tuple[dict[str, Any], Any]:
    p = Drawn(rng, inverse)
    inputs, wallet = p.inputs, p.margin
    if rng.random() < 0.5:
        wallet = D(text(float(p.margin) * 1.5, 8))
        inputs["wallet"] = str(wallet)
    if not inverse:
        return inputs, p.entry - p.side * wallet / p.qty
    return inputs, p.qty / (p.qty / p.entry + p.side * wallet)


@formula("bust.inverse.with_fee")
def _(rng: np.random.Generator) -> tuple[dict[str, Any], Any]:
    p = Drawn(rng, True)
    price = (1 + p.side * p.fee) * p.qty / (p.qty / p.entry + p.side * p.margin)
    return {**p.inputs, "wallet": str(p.margin), "fee_rate": str(p.fee)}, price


@formula("liq.linear.hedge_mm_at_mark")
def _(rng: np.random.Generator) -> tuple[dict[str, Any], Any]:
    """Net long legs: the lower price by bisection below the entries, none above."""
    p = Drawn(rng, False)
    short, other = p.qty * D("0.3"), p.entry * D("1.02")
    wallet = p.qty * p.entry / 10

    def surplus(price: D) -> D:
        gain = p.qty * (price - p.entry) - short * (price - other)
        return wallet + gain - margin_of(p.qty * price, p.tiers) - margin_of(short * price, p.tiers)

    inputs = {
        "mode": "cross", "wallet": str(wallet), "tiers": p.tiers, "long": {"qty": str(p.qty), "entry": str(p.entry)},
        "short": {"qty": str(short), "entry": str(other)},
    }  # fmt: skip
    return inputs, falling_root(surplus, p.entry, p.entry / D("1e11"))


# --- margins, tiers, costs, ratios


@formula("mm.tiered")
def _(rng: np.random.Generator) -> tuple[dict[str, Any], Any]:
    tiers = ladder(rng, D(100_000))
    value = (
        D(str(rng.choice([t["floor"] for t in tiers]))) if rng.random() < 0.3 else D(uniform(rng, 1e4, 1e6))
    )
    return {"notional": str(value), "tiers": tiers}, margin_of(value, tiers)


@formula("mm.continuity")
def _(rng: np.random.Generator) -> tuple[dict[str, Any], Any]:
    floor, before, rate, below = (
        D(uniform(rng, *x)) for x in ((1e3, 1e6), (0.004, 0.01), (0.01, 0.1), (1, 1e4))
    )
    inputs = {"floor": str(floor), "mmr_prev": str(before), "mmr": str(rate), "cum_prev": str(below)}
    return inputs, below + floor * (rate - before)


@formula("tier.lookup")
def _(rng: np.random.Generator) -> tuple[dict[str, Any], Any]:
    tiers = ladder(rng, D(100_000))
    value = (
        D(str(rng.choice([t["floor"] for t in tiers]))) if rng.random() < 0.5 else D(uniform(rng, 1e4, 1e6))
    )
    tier = [t for t in tiers if D(t["floor"]) <= value][-1]
    return {"notional": str(value), "tiers": tiers}, {"mmr": tier["mmr"], "cum": tier["cum"]}


@formula("tier.max_leverage_for_margin")
def _(rng: np.random.Generator) -> tuple[dict[str, Any], Any]:
    tiers, margin = ladder(rng, D(100_000)), D(uniform(rng, 100, 20_000))
    return {"margin": str(margin), "tiers": tiers}, next(
        D(t["max_leverage"]) for t in tiers if margin * D(t["max_leverage"]) <= D(t["cap"])
    )


@formula("im.linear", "im.inverse")
def _(rng: np.random.Generator, inverse: bool = False) -> tuple[dict[str, Any], Any]:
    p = Drawn(rng, inverse)
    return p.inputs, p.margin


@formula("im.rate_inverse")
def _(rng: np.random.Generator) -> tuple[dict[str, Any], Any]:
    p = Drawn(rng, True)
    return {"qty": str(p.qty), "price": str(p.mark), "rate": str(p.fee)}, p.qty / p.mark * p.fee


@formula("im.bybit_with_close_fee")
def _(rng: np.random.Generator) -> tuple[dict[str, Any], Any]:
    p = Drawn(rng, False)
    closing = p.qty * p.entry * (1 - p.side / p.leverage) * p.fee
    return {**p.inputs, "fee_rate": str(p.fee)}, p.margin + closing


@formula("im.deribit")
def _(rng: np.random.Generator) -> tuple[dict[str, Any], Any]:
    qty, price = D(uniform(rng, 1, 5000)), D(uniform(rng, 10, 1e5))
    base, slope = D("0.02"), D("0.00005")
    inputs = {"qty": str(qty), "price": str(price), "base_rate": str(base), "slope_per_unit": str(slope)}
    return inputs, qty * (base + qty * slope) * price


@formula("cost.binance")
def _(rng: np.random.Generator) -> tuple[dict[str, Any], Any]:
    p = Drawn(rng, False)
    loss = p.qty * abs(min(D(0), p.side * (p.mark - p.entry)))
    return {**p.inputs, "price": str(p.entry), "mark": str(p.mark)}, p.margin + loss


@formula("cost.bybit.linear", "cost.bybit.inverse")
def _(rng: np.random.Generator, inverse: bool = False) -> tuple[dict[str, Any], Any]:
    p = Drawn(rng, inverse)
    value, sign = value_at(p.qty, p.entry, inverse), 1 if inverse else -1
    cost = value / p.leverage + value * p.fee + value * (1 + sign * p.side / p.leverage) * p.fee
    return {**p.inputs, "price": str(p.entry), "fee_rate": str(p.fee)}, cost


@formula("ratio.cross")
def _(rng: np.random.Generator) -> tuple[dict[str, Any], Any]:
    wallet = D(uniform(rng, 1e3, 1e5))
    balance, needed, positions = wallet, D(0), []
    for _ in range(int(rng.integers(1, 4))):
        p = Drawn(rng, False)
        positions.append({**p.inputs, "mark": str(p.mark), "tiers": p.tiers})
        balance += p.side * p.qty * (p.mark - p.entry)
        needed += margin_of(p.qty * p.mark, p.tiers)
    state = {
        "margin_balance": balance, "maintenance_margin": needed, "ratio": needed / balance,
        "liquidated": balance <= needed,
    }  # fmt: skip
    return {"mode": "cross", "wallet": str(wallet), "positions": positions}, state


@formula("ratio.kucoin_cross")
def _(rng: np.random.Generator) -> tuple[dict[str, Any], Any]:
    pairs = [(D(uniform(rng, 100, 1e5)), D(uniform(rng, 0.004, 0.02))) for _ in range(3)]
    records = [{"notional": str(n), "mmr": str(m)} for n, m in pairs]
    fee, balance = D("0.0006"), D("5000")
    inputs = {"balance": str(balance), "positions": records[:1], "orders": records[1:], "fee_rate": str(fee)}
    needed = sum(n * (m + fee) for n, m in pairs)
    return inputs, needed / (balance - fee * sum(n for n, _ in pairs[1:]))


# --- profit, entry prices, fees, funding, deleveraging


@formula("pnl.linear", "pnl.inverse")
def _(rng: np.random.Generator, inverse: bool = False) -> tuple[dict[str, Any], Any]:
    p = Drawn(rng, inverse)
    return {**p.inputs, "mark": str(p.mark)}, profit_at(p.side, p.qty, p.entry, p.mark, inverse)


@formula("pnl.linear.total", "pnl.inverse.total")
def _(rng: np.random.Generator, inverse: bool = False) -> tuple[dict[str, Any], Any]:
    p = Drawn(rng, inverse)
    total = profit_at(p.side, p.qty, p.entry, p.mark, inverse)
    total -= p.fee * (value_at(p.qty, p.entry, inverse) + value_at(p.qty, p.mark, inverse))
    inputs = {**p.inputs, "exit": str(p.mark), "fee_rate": str(p.fee)}
    if rng.random() < 0.5:
        inputs["funding_paid"] = "1.25"
        return inputs, total - D("1.25")
    inputs["funding"] = [{"mark": str(p.entry), "rate": "0.0003"}, {"mark": str(p.mark), "rate": "-0.0001"}]
    cash = sum(-p.side * value_at(p.qty, D(x["mark"]), inverse) * D(x["rate"]) for x in inputs["funding"])
    return inputs, total + cash


@formula("avg.linear", "avg.inverse")
def _(rng: np.random.Generator, inverse: bool = False) -> tuple[dict[str, Any], Any]:
    pairs = [(D(uniform(rng, 1, 5000)), D(uniform(rng, 100, 200))) for _ in range(int(rng.integers(2, 5)))]
    size = sum(q for q, _ in pairs)
    mean = size / sum(q / x for q, x in pairs) if inverse else sum(q * x for q, x in pairs) / size
    return {"fills": [{"qty": str(q), "price": str(x)} for q, x in pairs]}, mean


@formula("fills.linear")
def _(rng: np.random.Generator) -> tuple[dict[str, Any], Any]:
    held, entry, realised, fee, fills = D(0), D(0), D(0), D("0.0004"), []
    for _ in range(int(rng.integers(1, 7))):
        side, q, price = int(rng.choice([1, -1])), D(uniform(rng, 1, 20, 2)), D(uniform(rng, 90, 110, 2))
        fills.append({"side": "buy" if side > 0 else "sell", "qty": str(q), "price": str(price)})
        realised -= fee * q * price
        rest = q
        if held * side < 0:
            closed = min(abs(held), q)
            realised += -side * closed * (price - entry)
            held, rest = held + side * closed, q - closed
        if rest:
            entry = (abs(held) * entry + rest * price) / (abs(held) + rest)
            held += side * rest
    state = {"qty": abs(held), "realized_pnl": realised}
    return {"fills": fills, "fee_rate": str(fee)}, {**state, "average_entry": entry} if held else state


@formula("fee.linear", "fee.inverse")
def _(rng: np.random.Generator, inverse: bool = False) -> tuple[dict[str, Any], Any]:
    p = Drawn(rng, inverse)
    inputs = {"qty": str(p.qty), "price": str(p.mark), "fee_rate": str(p.fee)}
    return inputs, p.fee * value_at(p.qty, p.mark, inverse)


@formula("notional.linear", "notional.inverse")
def _(rng: np.random.Generator, inverse: bool = False) -> tuple[dict[str, Any], Any]:
    p = Drawn(rng, inverse)
    return {"qty": str(p.qty), "price": str(p.mark)}, value_at(p.qty, p.mark, inverse)


@formula("funding.linear", "funding.inverse")
def _(rng: np.random.Generator, inverse: bool = False) -> tuple[dict[str, Any], Any]:
    p, rate = Drawn(rng, inverse), D(text(rng.normal(0, 0.001)))
    inputs = {**p.inputs, "mark": str(p.mark), "rate": str(rate)}
    return inputs, -p.side * value_at(p.qty, p.mark, inverse) * rate


@formula("funding.linear.window")
def _(rng: np.random.Generator) -> tuple[dict[str, Any], Any]:
    p, settlements, cash = Drawn(rng, False), [], D(0)
    opened, closed = sorted(int(x) for x in rng.choice(6, 2, replace=False))
    for k in range(6):
        rate = D(text(rng.normal(0, 0.001)))
        settlements.append({"t": f"2024-01-0{k + 1}T08:00:00Z", "mark": str(p.mark), "rate": str(rate)})
        cash -= p.side * p.qty * p.mark * rate if opened <= k <= closed else 0  # both ends count
    inputs = {**p.inputs, "settlements": settlements}
    return {**inputs, "open": settlements[opened]["t"], "close": settlements[closed]["t"]}, cash


@formula("rate.interest_only")
def _(rng: np.random.Generator) -> tuple[dict[str, Any], Any]:
    quote, base = D(uniform(rng, 1e-4, 1e-3)), D(uniform(rng, 1e-4, 1e-3))
    inputs = {"interest_quote_daily": str(quote), "interest_base_daily": str(base), "intervals_per_day": "3"}
    return inputs, (quote - base) / 3


@formula("rate.clamp")
def _(rng: np.random.Generator) -> tuple[dict[str, Any], Any]:
    premium, interest = D(text(rng.normal(0, 0.001))), D("0.0001")
    hours, cap = int(rng.choice([1, 4, 8])), D("0.00375")
    pulled = min(D("0.0005"), max(D("-0.0005"), interest - premium))
    rate = min(cap, max(-cap, (premium + pulled) / (D(8) / hours)))
    inputs = {
        "premium": str(premium),
        "interest": str(interest),
        "interval_hours": str(hours),
        "cap": str(cap),
    }
    return inputs, rate


@formula("adl.binance")
def _(rng: np.random.Generator) -> tuple[dict[str, Any], Any]:
    gain, wallet, ratio = D(text(rng.normal(0, 100))), D(uniform(rng, 0.1, 100)), D(uniform(rng, 0.01, 1))
    inputs = {"unrealized": str(gain), "wallet": str(wallet), "margin_ratio": str(ratio)}
    return inputs, max(D(0), gain) / max(D(1), wallet) * ratio


@formula("adl.bitmex")
def _(rng: np.random.Generator) -> tuple[dict[str, Any], Any]:
    mark, bust, share = D(uniform(rng, 100, 200)), D(uniform(rng, 50, 90)), D(text(rng.normal(0, 0.2)))
    leverage = abs(mark) / (mark - bust)
    inputs = {"mark_value": str(mark), "bankrupt_value": str(bust), "pnl_percentage": str(share)}
    return inputs, share * leverage if share > 0 else share / leverage
