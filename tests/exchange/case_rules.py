"""One function per rule name of the conformance cases: inputs of a case to the value that this library computes.

Rules that the simulated account runs call ``exchange.rules`` and ``exchange.account``; what only describes a
venue calls ``venue_rules``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from tests.exchange import venue_rules
from tests.exchange.case_inputs import Inputs, NotCoveredError, side_of, tier_records
from tests.exchange.case_scenario import play, play_fills

from gearing.exchange import rules

RULES: dict[str, Callable[[Inputs], Any]] = {}


def rule(*names: str) -> Callable[[Callable[[Inputs], Any]], Callable[[Inputs], Any]]:
    def register(function: Callable[[Inputs], Any]) -> Callable[[Inputs], Any]:
        RULES.update(dict.fromkeys(names, function))
        return function

    return register


def other_surplus(inputs: Inputs) -> float:
    """Unrealised PnL less maintenance margin of the other cross positions, each at its own mark."""
    total = 0.0
    for other in inputs.raw.get("others") or []:
        quantity = side_of(other["side"]) * float(other["qty"]) * float(other.get("multiplier") or 1)
        mark, inverse = float(other["mark"]), other.get("kind", "linear") == "inverse" or inputs.inverse
        tiers = tier_records(other.get("tiers"), other.get("mmr"), other.get("cum") or 0)
        total += rules.unrealised_pnl(quantity, float(other["entry"]), mark, inverse)
        total -= rules.maintenance_margin(rules.notional(quantity, mark, inverse), tiers)
    return total


# --- liquidation and bankruptcy prices


@rule("liq.linear.mm_at_mark", "liq.inverse.mm_at_mark")
def at_mark(x: Inputs) -> float:
    backing = x.wallet + other_surplus(x)
    return x.rounded(rules.liquidation_price(x.quantity, x.entry, backing, x.tiers, x.inverse))


@rule("liq.linear.mm_at_entry")
def linear_at_entry(x: Inputs) -> float:
    backing = x.wallet + other_surplus(x)
    return x.rounded(rules.liquidation_price_at_entry(x.quantity, x.entry, backing, x.tiers, x.inverse))


@rule("liq.inverse.mm_at_entry")
def inverse_at_entry(x: Inputs) -> float:
    base = float(x.raw["wallet"]) if x.has("wallet") else x.margin
    extra, fee = x.get("extra_margin", default=0.0), x.get("fee_rate", default=0.0)
    backing = venue_rules.added_margin_backing(x.side, base, extra, fee)
    return x.rounded(rules.liquidation_price_at_entry(x.quantity, x.entry, backing, x.tiers, True))


@rule("liq.inverse.mm_at_entry_with_fee")
def inverse_at_entry_with_fee(x: Inputs) -> float:
    return x.rounded(
        venue_rules.liquidation_price_at_entry_with_fee(
            x.side, x.size, x.entry, x.wallet, x.rate_at_entry, x.fee_rate
        )
    )


@rule("liq.linear.mm_at_mark_plus_fee")
def mark_plus_fee(x: Inputs) -> float:
    """By the kernel's own function with the fee in the rate and, as the rule says, no maintenance amount."""
    tiers = x.tiers.copy()
    tiers.amount = 0.0
    if tiers.size == 1:
        price = rules.liquidation_price(x.quantity, x.entry, x.wallet, tiers, False, x.fee_rate)
        closed = venue_rules.liquidation_price_mark_plus_fee(
            x.side, x.size, x.entry, x.wallet, tiers[0].rate, x.fee_rate
        )
        assert math.isnan(price) == math.isnan(closed)
        assert math.isnan(price) or math.isclose(price, closed, rel_tol=1e-12)
        return x.rounded(price)
    price = rules.liquidation_price(x.quantity, x.entry, x.wallet, tiers, False, x.fee_rate)
    return x.rounded(price)


@rule("liq.inverse.okx_product")
def okx_product(x: Inputs) -> float:
    return x.rounded(
        venue_rules.liquidation_price_okx_product(
            x.side, x.size, x.entry, x.wallet, x.rate_at_entry, x.fee_rate
        )
    )


@rule("liq.kucoin_cross_amr")
def kucoin_cross(x: Inputs) -> float:
    rate = (
        x.get("mmr", default=math.nan)
        if not x.raw.get("tiers")
        else float(x.tiers[rules.tier_index(x.size * x.mark, x.tiers)].rate)
    )
    if math.isnan(rate):
        raise NotCoveredError("liq.kucoin_cross_amr without a maintenance rate")
    return x.rounded(
        venue_rules.liquidation_price_kucoin_cross(
            x.side, x.size, x.mark, rate, x.get("fee_rate", default=0.0), kucoin_margin_ratio(x)
        )
    )


def kucoin_margin_ratio(x: Inputs) -> float:
    """Total margin over total mark value, given as such or to be summed up."""
    for name in ("amr", "a", "margin_ratio", "account_margin_ratio", "ratio"):
        if x.has(name):
            return float(x.raw[name])
    margin = x.get("total_margin", "margin_total", "balance", "margin", "wallet")
    if x.raw.get("positions"):
        value = sum(
            float(p["notional"]) if "notional" in p
            else float(p["qty"]) * float(p.get("multiplier") or 1) * float(p["mark"])
            for p in x.raw["positions"]
        )  # fmt: skip
        return margin / value
    names = ("total_mark_value", "total_value", "mark_value_total", "mark_value", "total_notional")
    return margin / x.get(*names, default=x.size * x.mark)


@rule("liq.linear.hedge_mm_at_mark")
def hedge(x: Inputs) -> Any:
    legs = {
        name: (float(x.raw[name]["qty"]) * x.multiplier, float(x.raw[name]["entry"]))
        for name in ("long", "short")
    }
    found = venue_rules.hedge_liquidation_prices(
        x.wallet, *legs["long"], *legs["short"], x.tiers, other_surplus(x)
    )
    if len(found) < 2:
        return found[0] if found else math.nan
    wanted = x.case["expected"]["value"]
    if isinstance(wanted, dict):
        return {
            "lower": found[0], "upper": found[-1], "low": found[0], "high": found[-1],
            "below": found[0], "above": found[-1],
        }  # fmt: skip
    if isinstance(wanted, list):
        return found
    net_long = legs["long"][0] >= legs["short"][0]
    if x.has("mark"):
        return min(found, key=lambda price: abs(price - x.mark))
    return found[0] if net_long else found[-1]


@rule("bust.linear", "bust.inverse")
def bankruptcy(x: Inputs) -> float:
    return x.rounded(rules.bankruptcy_price(x.quantity, x.entry, x.wallet, x.inverse))


@rule("bust.inverse.with_fee")
def bankruptcy_with_fee(x: Inputs) -> float:
    return x.rounded(venue_rules.bankruptcy_price_with_fee(x.side, x.size, x.entry, x.wallet, x.fee_rate))


# --- margins, tiers, costs, ratios


@rule("mm.tiered")
def tiered_margin(x: Inputs) -> float:
    value = x.notional if x.has("notional") else rules.notional(x.size, x.get("mark", "price"), x.inverse)
    return rules.maintenance_margin(value, x.tiers)


@rule("mm.continuity")
def continuity(x: Inputs) -> float:
    return rules.maintenance_amount(x.floor, x.mmr_prev, x.mmr, x.get("cum_prev", default=0.0))


@rule("tier.lookup")
def tier_lookup(x: Inputs) -> dict[str, float]:
    tiers = x.tiers
    value = x.notional if x.has("notional") else rules.notional(x.size, x.get("mark", "price"), x.inverse)
    k = rules.tier_index(value, tiers)
    return {
        "mmr": tiers[k].rate, "cum": tiers[k].amount, "max_leverage": tiers[k].max_leverage,
        "floor": tiers[k].floor, "cap": tiers[k].cap, "index": k, "tier": k + 1,
    }  # fmt: skip


@rule("tier.max_leverage_for_margin")
def leverage_for_margin(x: Inputs) -> float:
    return venue_rules.largest_leverage_for_margin(x.get("margin", "stake", "wallet"), x.tiers)


@rule("im.linear", "im.inverse")
def initial_margin(x: Inputs) -> float:
    return rules.initial_margin(x.quantity, x.get("entry", "price"), x.leverage, x.inverse)


@rule("im.rate_inverse", "im.rate_linear")
def margin_at_rate(x: Inputs) -> float:
    return venue_rules.initial_margin_at_rate(x.size, x.get("price", "entry"), x.rate, x.inverse)


@rule("im.bybit_with_close_fee")
def bybit_position_margin(x: Inputs) -> float:
    return venue_rules.position_margin_bybit(x.side, x.size, x.get("entry", "price"), x.leverage, x.fee_rate)


@rule("im.deribit")
def deribit_margin(x: Inputs) -> float:
    return venue_rules.initial_margin_deribit(x.size, x.price, x.base_rate, x.slope_per_unit)


@rule("cost.binance")
def binance_cost(x: Inputs) -> Any:
    price = x.get("price", "entry")
    loss = rules.open_loss(x.quantity, price, x.mark, x.inverse)
    if x.case["expected"]["quantity"] == "open_loss":
        return loss
    margin = rules.initial_margin(x.quantity, price, x.leverage, x.inverse)
    if x.case["expected"]["quantity"] == "initial_margin":
        return margin
    cost = venue_rules.order_cost_binance(x.side, x.size, price, x.mark, x.leverage, x.inverse)
    if isinstance(x.case["expected"]["value"], dict):
        return {"open_loss": loss, "initial_margin": margin, "cost": cost, "order_cost": cost, "total": cost}
    return cost


@rule("cost.bybit.linear", "cost.bybit.inverse")
def bybit_cost(x: Inputs) -> float:
    return venue_rules.order_cost_bybit(
        x.side, x.size, x.get("price", "entry"), x.leverage, x.fee_rate, x.inverse
    )


@rule("ratio.cross")
def cross_ratio(x: Inputs) -> Any:
    positions = []
    for p in x.raw["positions"]:
        inverse = p.get("kind", x.case["contract"]["kind"]) == "inverse"
        quantity = side_of(p["side"]) * float(p["qty"]) * float(p.get("multiplier") or x.multiplier)
        tiers = tier_records(p.get("tiers"), p.get("mmr"), p.get("cum") or 0)
        positions.append((quantity, float(p["entry"]), float(p["mark"]), tiers, inverse))
    balance, needed = venue_rules.cross_margin_state(x.wallet, positions)
    state = {
        "margin_balance": balance, "maintenance_margin": needed, "ratio": needed / balance, "margin_ratio":
        needed / balance, "liquidated": balance <= needed, "unrealized_pnl": balance - x.wallet,
    }  # fmt: skip
    wanted = x.case["expected"]
    if isinstance(wanted["value"], dict):
        return state
    return state.get(wanted["quantity"], state["ratio"])


@rule("ratio.kucoin_cross")
def kucoin_ratio(x: Inputs) -> float:
    pairs = [
        [
            (
                float(p["notional"]) if "notional" in p
                else float(p["qty"]) * x.multiplier * float(p.get("mark", p.get("price"))),
                float(p["mmr"]),
            )
            for p in x.raw.get(name) or []
        ]
        for name in ("positions", "orders")
    ]  # fmt: skip
    return venue_rules.risk_ratio_kucoin(x.get("balance", "wallet"), *pairs, x.get("fee_rate", default=0.0))


# --- profit, entry prices, fees, funding


@rule("pnl.linear", "pnl.inverse")
def profit(x: Inputs) -> float:
    return rules.unrealised_pnl(x.quantity, x.entry, x.get("mark", "exit", "price"), x.inverse)


@rule("pnl.linear.total", "pnl.inverse.total")
def total_profit(x: Inputs) -> Any:
    gross = rules.unrealised_pnl(x.quantity, x.entry, x.exit, x.inverse)
    rate = x.get("fee_rate", default=0.0)
    fees = rules.trading_fee(x.size, x.entry, x.get("entry_fee_rate", default=rate), x.inverse)
    fees += rules.trading_fee(x.size, x.exit, x.get("exit_fee_rate", default=rate), x.inverse)
    cash = 0.0
    for payment in x.raw.get("funding") or []:
        cash += rules.funding_payment(x.quantity, float(payment["mark"]), float(payment["rate"]), x.inverse)
    cash -= x.get("funding_paid", default=0.0) - x.get("funding_received", default=0.0)
    total = gross - fees + cash
    if isinstance(x.case["expected"]["value"], dict):
        return {
            "total": total,
            "fees": fees,
            "funding": cash,
            "realized_pnl": total,
            "gross": gross,
            "pnl": gross,
        }
    named = {"fees": fees, "funding": cash, "gross": gross}
    return named.get(x.case["expected"]["quantity"], total)


@rule("avg.linear", "avg.inverse")
def average_entry(x: Inputs) -> float:
    held, entry = 0.0, 0.0
    for fill in x.raw["fills"]:
        added = side_of(fill.get("side", "long")) * float(fill["qty"]) * x.multiplier
        entry = rules.average_entry_price(held, entry, added, float(fill["price"]), x.inverse)
        held += added
    return entry


@rule("fills.linear", "fills.inverse")
def fills(x: Inputs) -> dict[str, float]:
    return play_fills(x)


@rule("fee.linear", "fee.inverse")
def fee(x: Inputs) -> float:
    return rules.trading_fee(x.size, x.get("price", "entry", "mark"), x.get("fee_rate", "rate"), x.inverse)


@rule("notional.linear", "notional.inverse")
def position_value(x: Inputs) -> float:
    return rules.notional(x.size, x.get("price", "mark", "entry"), x.inverse)


@rule("funding.linear", "funding.inverse")
def funding(x: Inputs) -> float:
    return rules.funding_payment(x.quantity, x.get("mark", "price"), x.rate, x.inverse)


@rule("funding.linear.window", "funding.inverse.window")
def funding_window(x: Inputs) -> float:
    settlements = [(instant(s["t"]), float(s["mark"]), float(s["rate"])) for s in x.raw["settlements"]]
    opened, closed = instant(x.raw["open"]), instant(x.raw["close"])
    return venue_rules.funding_in_window(x.side, x.size, opened, closed, settlements, x.inverse)


def instant(text: str) -> np.datetime64:
    return np.datetime64(text.removesuffix("Z").removesuffix("+00:00"), "ms")


@rule("rate.interest_only")
def interest_rate(x: Inputs) -> float:
    return venue_rules.interest_funding_rate(
        x.interest_quote_daily, x.interest_base_daily, x.intervals_per_day
    )


@rule("rate.clamp")
def clamped_rate(x: Inputs) -> float:
    if x.has("premium"):
        premium = x.premium
    else:
        premium = venue_rules.premium_index(x.impact_bid, x.impact_ask, x.index)
    return venue_rules.clamped_funding_rate(
        premium, x.interest, x.get("interval_hours", default=8.0), x.get("clamp", default=5e-4),
        x.get("cap", default=math.inf),
    )  # fmt: skip


# --- auto-deleveraging, whole accounts


@rule("adl.binance")
def binance_score(x: Inputs) -> float:
    ratio = x.get("margin_ratio") if x.has("margin_ratio") else x.maintenance_margin / x.margin_balance
    return venue_rules.deleveraging_score_binance(x.get("unrealized", "unrealised"), x.wallet, ratio)


@rule("adl.bitmex")
def bitmex_score(x: Inputs) -> float:
    values = bitmex_values(x)
    if any(x.has(name) for name in ("pnl_percentage", "profit_pct", "pnl_pct", "profit_percentage", "pnl")):
        share = x.get("pnl_percentage", "profit_pct", "pnl_pct", "profit_percentage", "pnl")
    else:
        entry = values.get("entry_value")
        if entry is None:
            raise NotCoveredError("adl.bitmex without a profit percentage or entry value")
        share = (values["mark_value"] - entry) / abs(entry)
    if x.has("effective_leverage"):
        leverage = x.effective_leverage
    else:
        leverage = venue_rules.effective_leverage_bitmex(values["mark_value"], values["bankrupt_value"])
    return venue_rules.deleveraging_score_bitmex(share, leverage)


def bitmex_values(x: Inputs) -> dict[str, float]:
    """Signed values at mark, bankruptcy and entry: given, or of a position at its prices."""
    values = {}
    named = {
        "mark_value": ("mark",), "bankrupt_value": ("bankrupt", "bankruptcy", "bankruptcy_price", "bankrupt_price"),
        "entry_value": ("entry",),
    }  # fmt: skip
    for name, prices in named.items():
        aliases = (name, "avg_entry_value", "average_entry_value") if name == "entry_value" else (
            name, "bankruptcy_value") if name == "bankrupt_value" else (name,)  # fmt: skip
        if any(x.has(alias) for alias in aliases):
            values[name] = x.get(*aliases)
        elif x.has("qty") and any(x.has(price) for price in prices):
            # An inverse long has a negative value: it is short the coin it settles in.
            sign = -1.0 if x.inverse else 1.0
            values[name] = sign * x.side * rules.notional(x.size, x.get(*prices), x.inverse)
    if "bankrupt_value" not in values and x.has("qty") and (x.has("wallet") or x.has("leverage")):
        bust = rules.bankruptcy_price(x.quantity, x.entry, x.wallet, x.inverse)
        values["bankrupt_value"] = (
            (-1.0 if x.inverse else 1.0) * x.side * rules.notional(x.size, bust, x.inverse)
        )
    if "mark_value" not in values and not x.has("effective_leverage"):
        raise NotCoveredError("adl.bitmex without a mark value")
    return values


@rule("scenario.linear_isolated", "scenario.inverse_isolated")
def scenario(x: Inputs) -> dict[str, Any]:
    return play(x)
