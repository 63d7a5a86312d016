"""What single venues compute differently: closed forms for information, which the simulated account does not run.

Names of the rules are those of the conformance cases. ``size`` is positive, ``side`` +1 long or -1 short; a linear
size counts base coins, an inverse one quote. Money is in the settle coin, rates are fractions.

Sources: help pages of Bybit (order cost, position margin, bankruptcy price), OKX and Gate (liquidation price), KuCoin
(cross risk ratio), Deribit (standard margin), BitMEX and Binance (auto-deleveraging), freqtrade (funding window).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from gearing.exchange.rules import (
    NO_PRICE,
    bankruptcy_price,
    funding_payment,
    initial_margin,
    maintenance_margin,
    notional,
    open_loss,
    price_at_margin,
    tier_index,
    unrealised_pnl,
)


def _price_or_none(price: float, entry_price: float) -> float:
    return price if 1e-12 * entry_price < price < math.inf else NO_PRICE


# --- liquidation and bankruptcy prices ------------------------------------------------------------------------------


def liquidation_price_mark_plus_fee(
    side: float, size: float, entry_price: float, wallet: float, rate: float, fee_rate: float
) -> float:
    """``liq.linear.mm_at_mark_plus_fee`` (OKX, Gate): (E - s W / q) / (1 - s (m + f)), no maintenance amount."""
    price = (entry_price - side * wallet / size) / (1.0 - side * (rate + fee_rate))
    return _price_or_none(price, entry_price)


def liquidation_price_okx_product(
    side: float, size: float, entry_price: float, wallet: float, rate: float, fee_rate: float
) -> float:
    """``liq.inverse.okx_product``: Q (1 + s m)(1 + s f) / (Q / E + s W), which a 2021 inverse OKX record fits."""
    denominator = size / entry_price + side * wallet
    if denominator <= 0.0:
        return NO_PRICE
    return size * (1.0 + side * rate) * (1.0 + side * fee_rate) / denominator


def bankruptcy_price_with_fee(
    side: float, size: float, entry_price: float, wallet: float, fee_rate: float
) -> float:
    """``bust.inverse.with_fee`` (Bybit): the closing fee at the bankruptcy price is paid out of the margin too."""
    return (1.0 + side * fee_rate) * bankruptcy_price(side * size, entry_price, wallet, True)


def added_margin_backing(side: float, margin: float, extra_margin: float, fee_rate: float) -> float:
    """Wallet of an inverse Bybit position to which margin was added: the addition counts divided by 1 + s f."""
    return margin + extra_margin / (1.0 + side * fee_rate)


def liquidation_price_at_entry_with_fee(
    side: float, size: float, entry_price: float, wallet: float, rate: float, fee_rate: float
) -> float:
    """``liq.inverse.mm_at_entry_with_fee`` (Bybit): maintenance at entry and the fee to close at bankruptcy."""
    bust = bankruptcy_price_with_fee(side, size, entry_price, wallet, fee_rate)
    closing = fee_rate * size / bust if bust == bust else 0.0
    spare = wallet - rate * size / entry_price - closing
    inverse_price = 1.0 / entry_price + side * spare / size
    return 1.0 / inverse_price if inverse_price > 0.0 else NO_PRICE


def liquidation_price_kucoin_cross(
    side: float, size: float, mark: float, rate: float, fee_rate: float, account_margin_ratio: float
) -> float:
    """``liq.kucoin_cross_amr``; the ratio is the account's total margin over its total mark value."""
    value = size * mark
    return (side * value - value * account_margin_ratio) / (1.0 - side * (rate + fee_rate)) / (side * size)


def hedge_liquidation_prices(
    wallet: float,
    long_size: float,
    long_entry: float,
    short_size: float,
    short_entry: float,
    tiers: np.recarray,
    others: float = 0.0,
) -> list[float]:
    """``liq.linear.hedge_mm_at_mark``: prices at which two cross legs of one contract are liquidated, ascending.

    Each leg has its own tier, self-consistent at the price. Nearly balanced legs can have one price below and
    one above, because margin balance less maintenance margin is concave.

    Parameters
    ----------
    others : float
        Unrealised PnL less maintenance margin of the other cross positions.
    """
    found: list[float] = []
    for k in range(tiers.size):
        for j in range(tiers.size):
            slope = long_size * (tiers[k].rate - 1.0) + short_size * (tiers[j].rate + 1.0)
            level = wallet + others + tiers[k].amount + tiers[j].amount
            level += short_size * short_entry - long_size * long_entry
            if slope == 0.0:
                continue
            price = level / slope
            if not 1e-12 * max(long_entry, short_entry) < price < math.inf:
                continue
            fits = tier_index(long_size * price, tiers) == k and tier_index(short_size * price, tiers) == j
            if fits and not any(math.isclose(price, other, rel_tol=1e-12) for other in found):
                found.append(price)
    return sorted(found)


# --- margins, order costs, ratios -----------------------------------------------------------------------------------


def largest_leverage_for_margin(margin: float, tiers: np.recarray) -> float:
    """``tier.max_leverage_for_margin``: from the top down, the first tier whose cap holds margin x leverage."""
    for tier in tiers:
        if margin * tier.max_leverage <= tier.cap:
            return float(tier.max_leverage)
    return math.nan


def initial_margin_at_rate(size: float, price: float, rate: float, inverse: bool = True) -> float:
    """``im.rate_inverse``: a fraction of the notional at a price."""
    return notional(size, price, inverse) * rate


def position_margin_bybit(
    side: float, size: float, entry_price: float, leverage: float, fee_rate: float
) -> float:
    """``im.bybit_with_close_fee``: initial margin plus the fee of closing at the bankruptcy price."""
    value = size * entry_price
    return value / leverage + value * (1.0 - side / leverage) * fee_rate


def initial_margin_deribit(size: float, price: float, base_rate: float, slope_per_unit: float) -> float:
    """``im.deribit``: the margin rate grows linearly with the position's size."""
    return size * (base_rate + size * slope_per_unit) * price


def order_cost_binance(
    side: float, size: float, price: float, mark: float, leverage: float, inverse: bool = False
) -> float:
    """``cost.binance``: initial margin at the order's price plus the loss it makes at once against the mark."""
    return initial_margin(size, price, leverage, inverse) + open_loss(side * size, price, mark, inverse)


def order_cost_bybit(
    side: float, size: float, price: float, leverage: float, fee_rate: float, inverse: bool = False
) -> float:
    """``cost.bybit.*``: initial margin, the fee to open, and the fee to close at the bankruptcy price."""
    value = notional(size, price, inverse)
    closing = 1.0 + side / leverage if inverse else 1.0 - side / leverage
    return value / leverage + value * fee_rate + value * closing * fee_rate


def risk_ratio_kucoin(
    balance: float,
    positions: Iterable[tuple[float, float]],
    orders: Iterable[tuple[float, float]],
    fee_rate: float,
) -> float:
    """``ratio.kucoin_cross``: maintenance with fees of positions and orders over balance less the orders' fees.

    ``positions`` and ``orders`` are (notional, maintenance rate) pairs.
    """
    orders = list(orders)
    needed = sum(value * (rate + fee_rate) for value, rate in [*positions, *orders])
    return needed / (balance - fee_rate * sum(value for value, _ in orders))


# --- funding --------------------------------------------------------------------------------------------------------


def interest_funding_rate(
    interest_quote_daily: float, interest_base_daily: float, intervals_per_day: float
) -> float:
    """``rate.interest_only``: funding rate without a premium (BitMEX)."""
    return (interest_quote_daily - interest_base_daily) / intervals_per_day


def premium_index(impact_bid: float, impact_ask: float, index: float) -> float:
    """How far the impact prices stand off the index [fraction]."""
    return (max(0.0, impact_bid - index) - max(0.0, index - impact_ask)) / index


def clamped_funding_rate(
    premium: float,
    interest: float,
    interval_hours: float,
    clamp: float = 5e-4,
    cap: float = math.inf,
) -> float:
    """``rate.clamp``: [P + clamp(I - P, +-0.05 %)] / (8 / interval), then within the contract's cap."""
    rate = (premium + min(clamp, max(-clamp, interest - premium))) / (8.0 / interval_hours)
    return min(cap, max(-cap, rate))


def funding_in_window(
    side: float,
    size: float,
    opened: np.datetime64,
    closed: np.datetime64,
    settlements: Sequence[tuple[np.datetime64, float, float]],
    inverse: bool = False,
) -> float:
    """``funding.linear.window``: cash flow of all settlements (time, mark, rate) with opened <= time <= closed.

    Both ends count, as freqtrade has it; the simulated account pays at a time stamp only what it carried into it.
    """
    inside = [(mark, rate) for time, mark, rate in settlements if opened <= time <= closed]
    return sum((funding_payment(side * size, mark, rate, inverse) for mark, rate in inside), 0.0)


# --- auto-deleveraging ----------------------------------------------------------------------------------------------


def deleveraging_score_binance(unrealised: float, wallet: float, margin_ratio: float) -> float:
    """``adl.binance``: profit over wallet, times the margin ratio; losers score zero."""
    return max(0.0, unrealised) / max(1.0, wallet) * margin_ratio


def effective_leverage_bitmex(mark_value: float, bankrupt_value: float) -> float:
    """|mark value| / (mark value - bankrupt value); values are signed, negative for shorts."""
    return abs(mark_value) / (mark_value - bankrupt_value)


def deleveraging_score_bitmex(profit_share: float, effective_leverage: float) -> float:
    """``adl.bitmex``: profit percentage times effective leverage if it is a profit, divided by it if a loss."""
    if profit_share > 0.0:
        return profit_share * effective_leverage
    return profit_share / effective_leverage


# --- state of a cross account ---------------------------------------------------------------------------------------


def cross_margin_state(
    wallet: float, positions: Iterable[tuple[float, float, float, np.recarray, bool]]
) -> tuple[float, float]:
    """Margin balance and maintenance margin of a cross account.

    ``positions`` are (signed quantity, entry price, mark, tiers, inverse).
    """
    balance, needed = wallet, 0.0
    for quantity, entry_price, mark, tiers, inverse in positions:
        balance += unrealised_pnl(quantity, entry_price, mark, inverse)
        needed += maintenance_margin(notional(quantity, mark, inverse), tiers)
    return balance, needed


def sustainable_price(quantity: float, entry_price: float, loss: float, inverse: bool) -> float:
    """Price at which a position has lost ``loss``; NaN where that is not a positive price."""
    return _price_or_none(price_at_margin(quantity, entry_price, loss, 0.0, 0.0, inverse), entry_price)
