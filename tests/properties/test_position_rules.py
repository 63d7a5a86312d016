"""Identities of one position: numbers 4 to 13, 15, 16, 18 and 19 of the invariants in the exchange rules."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, strategies as st
from tests.exchange.venue_rules import hedge_liquidation_prices
from tests.properties.positions import Held, positions, tier_schedules

from gearing.exchange.account import apply_fill
from gearing.exchange.records import (
    account_dtype,
    config_dtype,
    contract_dtype,
    ledger_dtype,
    position_dtype,
    records,
)
from gearing.exchange.rules import (
    bankruptcy_price,
    funding_payment,
    initial_margin,
    liquidation_price,
    maintenance_margin,
    notional,
    price_at_margin,
    round_price,
    round_quantity,
    tier_index,
    unrealised_pnl,
)


def surplus(held: Held, price: float, wallet: float | None = None) -> float:
    """Margin balance less maintenance margin."""
    wallet = held.wallet if wallet is None else wallet
    balance = wallet + unrealised_pnl(held.quantity, held.entry_price, price, held.inverse)
    return balance - maintenance_margin(notional(held.quantity, price, held.inverse), held.tiers)


def liquidation(held: Held, **changes: float) -> float:
    wallet = changes.get("wallet", held.wallet)
    return liquidation_price(held.quantity, held.entry_price, wallet, held.tiers, held.inverse)


@given(positions())
def test_04_margin_balance_is_maintenance_margin_at_liquidation_and_zero_at_bankruptcy(held):
    price = liquidation(held)
    bust = bankruptcy_price(held.quantity, held.entry_price, held.wallet, held.inverse)
    value = notional(held.quantity, held.entry_price, held.inverse)
    if not math.isnan(price):
        assert abs(surplus(held, price)) <= 1e-9 * max(value, notional(held.quantity, price, held.inverse))
    if not math.isnan(bust):
        balance = held.wallet + unrealised_pnl(held.quantity, held.entry_price, bust, held.inverse)
        assert abs(balance) <= 1e-9 * max(value, notional(held.quantity, bust, held.inverse))
    if surplus(held, held.entry_price) > 1e-9 * value and not math.isnan(price + bust):
        assert held.side * (price - bust) > 0.0  # long: bust < liquidation < entry; short mirrored
        assert held.side * (held.entry_price - price) > 0.0


@given(tier_schedules(), st.floats(0.0, 5e6), st.floats(0.0, 5e6))
def test_05_maintenance_margin_is_continuous_growing_and_convex(tiers, low, high):
    assert maintenance_margin(0.0, tiers) == 0.0
    for k in range(1, tiers.size):
        below = tiers[k].floor * tiers[k - 1].rate - tiers[k - 1].amount
        assert maintenance_margin(tiers[k].floor, tiers) == pytest.approx(below, rel=1e-9, abs=1e-9)
    low, high = sorted((low, high))
    at_low, at_high = maintenance_margin(low, tiers), maintenance_margin(high, tiers)
    assert at_low <= at_high + 1e-9
    assert maintenance_margin(0.5 * (low + high), tiers) <= 0.5 * (at_low + at_high) + 1e-9 * (1.0 + at_high)


@given(positions(inverse=False), st.floats(0.3, 1.7))
def test_06_swapping_the_side_and_reflecting_prices_mirrors_linear_profit(held, factor):
    price = held.entry_price * factor
    mirrored = unrealised_pnl(-held.quantity, held.entry_price, 2.0 * held.entry_price - price, False)
    straight = unrealised_pnl(held.quantity, held.entry_price, price, False)
    assert mirrored == pytest.approx(straight, rel=1e-9, abs=1e-9 * abs(held.quantity) * held.entry_price)


@given(positions(inverse=True), st.floats(0.4, 2.5))
def test_07_an_inverse_position_is_a_linear_one_of_the_other_side_in_the_reciprocal_price(held, factor):
    price = held.entry_price * factor
    dual = (-held.quantity, 1.0 / held.entry_price)
    value = notional(held.quantity, price, True)
    assert notional(dual[0], 1.0 / price, False) == pytest.approx(value)
    ours = unrealised_pnl(held.quantity, held.entry_price, price, True)
    assert unrealised_pnl(*dual, 1.0 / price, False) == pytest.approx(ours, rel=1e-9, abs=1e-9 * value)
    there = liquidation_price(*dual, held.wallet, held.tiers, False)
    here = liquidation(held)
    assume(math.isnan(here) == math.isnan(there))  # "none" is judged against the entry in each price
    assert math.isnan(here) or 1.0 / there == pytest.approx(here, rel=1e-9)


@given(positions(), st.floats(0.01, 100.0), st.floats(0.01, 100.0))
def test_08_liquidation_prices_scale(held, size, price):
    tiers = held.tiers.copy()
    for name in ("floor", "cap", "amount"):
        tiers[name] *= size
    bigger = liquidation_price(
        size * held.quantity, held.entry_price, size * held.wallet, tiers, held.inverse
    )
    assert bigger == pytest.approx(liquidation(held), rel=1e-8, nan_ok=True)
    quantity = held.quantity * (price if held.inverse else 1.0 / price)
    dearer = liquidation_price(quantity, price * held.entry_price, held.wallet, held.tiers, held.inverse)
    assert dearer == pytest.approx(price * liquidation(held), rel=1e-8, nan_ok=True)


@given(positions(), st.floats(1.1, 3.0))
def test_09_a_higher_leverage_brings_the_isolated_liquidation_price_nearer(held, factor):
    near, far = liquidation(held, wallet=held.wallet / factor), liquidation(held)
    assert math.isnan(far) or held.side * (near - far) > 0.0


@given(positions(), st.floats(0.01, 1.0), st.floats(1e-5, 1e-3))
def test_10_margin_moves_liquidation_away_and_funding_paid_brings_it_nearer(held, added, rate):
    price = liquidation(held)
    assume(not math.isnan(price))
    more = liquidation(held, wallet=held.wallet * (1.0 + added))
    assert math.isnan(more) or held.side * (more - price) < 0.0
    paid = funding_payment(held.quantity, held.entry_price, held.side * rate, held.inverse)
    assert paid < 0.0
    assert held.side * (liquidation(held, wallet=held.wallet + paid) - price) > 0.0
    received = liquidation(held, wallet=held.wallet - paid)
    assert math.isnan(received) or held.side * (received - price) < 0.0


@given(positions(), st.floats(-0.01, 0.01), st.floats(0.5, 2.0))
def test_11_funding_is_zero_sum_linear_and_signed_by_side_and_rate(held, rate, factor):
    price = held.entry_price * factor
    paid = funding_payment(held.quantity, price, rate, held.inverse)
    assert paid + funding_payment(-held.quantity, price, rate, held.inverse) == 0.0
    assert funding_payment(2.0 * held.quantity, price, rate, held.inverse) == pytest.approx(2.0 * paid)
    assert funding_payment(held.quantity, price, 2.0 * rate, held.inverse) == pytest.approx(2.0 * paid)
    assert funding_payment(0.0, price, rate, held.inverse) == 0.0
    assert np.sign(paid) == -np.sign(held.quantity * rate)


class Trades:
    """Fills of one isolated account at a fee."""

    def __init__(self, inverse: bool, fee: float = 5e-4):
        self.account, self.position = records(1, account_dtype)[0], records(1, position_dtype)[0]
        self.contract, self.config = records(1, contract_dtype)[0], records(1, config_dtype)[0]
        self.ledger, self.fee = records(1, ledger_dtype)[0], fee
        self.contract.inverse, self.account.wallet_balance = inverse, 1e12
        self.start = 1e12

    def fill(self, quantity: float, price: float) -> Trades:
        apply_fill(
            self.account,
            self.position,
            self.contract,
            self.config,
            self.ledger,
            quantity,
            price,
            5.0,
            self.fee,
        )
        return self

    @property
    def state(self) -> tuple[float, ...]:
        position = self.position
        return (
            position.quantity,
            position.entry_price,
            position.margin,
            self.ledger.price_pnl,
            self.ledger.fees,
        )


@given(positions())
def test_12_two_half_fills_are_one_fill(held):
    whole = Trades(held.inverse).fill(held.quantity, held.entry_price)
    halves = Trades(held.inverse)
    for _ in range(2):
        halves.fill(0.5 * held.quantity, held.entry_price)
    assert halves.state == pytest.approx(whole.state, rel=1e-12)


@given(positions(), st.floats(1.1, 3.0))
def test_13_a_round_trip_costs_two_fees_and_a_flip_is_close_and_open(held, factor):
    there = Trades(held.inverse).fill(held.quantity, held.entry_price).fill(-held.quantity, held.entry_price)
    fee = 5e-4 * notional(held.quantity, held.entry_price, held.inverse)
    assert there.ledger.fees == pytest.approx(-2.0 * fee)
    assert there.ledger.price_pnl == pytest.approx(0.0, abs=1e-9 * fee)
    assert there.position.quantity == 0.0
    price = held.entry_price * factor
    flip = Trades(held.inverse).fill(held.quantity, held.entry_price).fill(-1.5 * held.quantity, price)
    parts = Trades(held.inverse).fill(held.quantity, held.entry_price)
    parts.fill(-held.quantity, price).fill(-0.5 * held.quantity, price)
    assert flip.state == pytest.approx(parts.state, rel=1e-9)
    assert flip.position.entry_price == price


@given(positions(), st.floats(0.2, 3.0), st.floats(0.2, 3.0))
def test_15_a_worse_mark_never_helps(held, one, other):
    worse, better = sorted((one, other), reverse=held.quantity < 0.0)
    assume(abs(worse - better) > 1e-6)
    assert surplus(held, worse * held.entry_price) < surplus(held, better * held.entry_price)


@given(positions(inverse=False), st.floats(0.2, 3.0), st.floats(0.2, 3.0))
def test_15_and_16_hedged_legs_are_concave_in_the_mark_and_equal_legs_have_a_fixed_profit(held, one, other):
    size, entry = abs(held.quantity), held.entry_price
    prices = [one * entry, 0.5 * (one + other) * entry, other * entry]
    profits, requirements = [], []
    for price in prices:
        profits.append(sum(unrealised_pnl(q, entry, price, False) for q in (size, -size)))
        requirements.append(2.0 * maintenance_margin(size * price, held.tiers))
    assert profits == pytest.approx([0.0] * 3, abs=1e-9 * size * entry)
    middle = 0.5 * (requirements[0] + requirements[2])
    assert requirements[1] <= middle + 1e-9 * (1.0 + middle)
    if other > one:
        assert requirements[2] >= requirements[0]
    for price in hedge_liquidation_prices(held.wallet, size, entry, size, entry, held.tiers):
        requirement = 2.0 * maintenance_margin(size * price, held.tiers)
        assert held.wallet == pytest.approx(requirement, rel=1e-6)


@given(positions())
def test_18_the_tier_at_the_liquidation_price_is_its_own_and_no_other_root_fits(held):
    price, fitting = liquidation(held), []
    for k in range(held.tiers.size):
        root = price_at_margin(
            held.quantity,
            held.entry_price,
            held.wallet,
            held.tiers[k].rate,
            held.tiers[k].amount,
            held.inverse,
        )
        possible = 1e-12 * held.entry_price < root < math.inf
        if possible and tier_index(notional(held.quantity, root, held.inverse), held.tiers) == k:
            fitting.append(root)
    distinct = [r for n, r in enumerate(fitting) if not any(math.isclose(r, s) for s in fitting[:n])]
    assert len(distinct) <= 1
    if distinct:
        assert price == pytest.approx(distinct[0])


@given(positions(), st.sampled_from([0.01, 0.05, 0.1, 0.5, 1.0]), st.sampled_from([0.001, 0.01, 1.0, 100.0]))
def test_19_rounding_never_favours_the_trader(held, tick, lot):
    size = abs(held.quantity)
    assert round_quantity(size, lot) <= size * (1.0 + 1e-11)
    fill = round_price(held.entry_price, tick, held.side)
    assert held.side * (fill - held.entry_price) >= -1e-9 * held.entry_price
    price = liquidation(held)
    if not math.isnan(price) and held.side * (held.entry_price - price) > 0.0:
        assert held.side * (round_price(price, tick, held.side) - price) >= -1e-9 * price  # towards the entry


@given(positions())
def test_initial_margin_is_the_wallet_of_an_isolated_position(held):
    margin = initial_margin(held.quantity, held.entry_price, held.leverage, held.inverse)
    assert margin == pytest.approx(held.wallet)
