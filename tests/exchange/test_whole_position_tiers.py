"""Where the whole position pays its tier's rate (OKX), requirements jump at floors: the path itself is searched."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, strategies as st
from tests.properties.positions import Held, positions
from tests.simulation.markets import market, table

from gearing.contracts import Contract, TierSchedule
from gearing.exchange.liquidation import size_below
from gearing.exchange.orders import capped_size
from gearing.exchange.records import config_dtype, contract_dtype, ledger_dtype, records, row_dtype
from gearing.exchange.rules import (
    first_liquidation_mark,
    liquidation_price,
    maintenance_margin,
    notional,
    tier_index,
    unrealised_pnl,
)
from gearing.exchange.terms import Terms
from gearing.simulation import SimulationConfig, Simulator

FLOOR = 10_000.0
TIERS = TierSchedule.from_rates([0.0, FLOOR], [0.01, 0.03], [50.0, 20.0], cap=1e9, marginal=False)


@dataclass
class Case:
    """100 coins entered at ``entry`` with ``margin`` behind them; the floor is met at a mark of 100."""

    quantity: float
    entry: float
    margin: float
    start: float
    end: float
    touched: float


CASES = {
    # 1150 + 100 (P - 110) = 3 % of 100 P at P = 9850 / 97 = 101.55. Below 100 the rate is 1 %: at 99.8 the balance
    # of 130 is above 99.8 again, so that neither end of the fall shows the liquidation.
    "a falling long, though it recovers": Case(100.0, 110.0, 1150.0, 110.0, 99.8, 9850.0 / 97.0),
    # At 100 the requirement of a short jumps from 100 to 300, with 250 + 100 (99 - 100) = 150 of balance.
    "a rising short, on the floor": Case(-100.0, 99.0, 250.0, 99.0, 101.0, 100.0),
    # A long that rises is worth 100 more at 100, 250 in all, but needs 300 there.
    "a long, by a rise": Case(100.0, 99.0, 150.0, 99.0, 100.5, 100.0),
    # With 250 of margin it has 350 at the floor.
    "nobody, if margin suffices at the floor": Case(100.0, 99.0, 250.0, 99.0, 100.5, math.nan),
    "nobody, if the path ends before the floor": Case(100.0, 99.0, 150.0, 99.0, 99.99, math.nan),
}


@pytest.mark.parametrize("name", CASES)
def test_a_jump_of_the_requirement_liquidates(name):
    case = CASES[name]
    tiers = TIERS.to_records()
    found = first_liquidation_mark(
        case.quantity, case.entry, case.margin, tiers, False, 0.0, case.start, case.end
    )
    assert found == pytest.approx(case.touched, nan_ok=True)


def surplus(held: Held, price: float) -> float:
    balance = held.wallet + unrealised_pnl(held.quantity, held.entry_price, price, held.inverse)
    return balance - maintenance_margin(notional(held.quantity, price, held.inverse), held.tiers)


@given(positions(), st.floats(0.5, 2.0), st.floats(0.5, 2.0), st.booleans())
def test_the_first_mark_is_that_of_a_walk_in_small_steps(held, start, end, whole):
    if whole:
        held.tiers["amount"] = 0.0
    start, end = start * held.entry_price, end * held.entry_price
    found = first_liquidation_mark(
        held.quantity, held.entry_price, held.wallet, held.tiers, held.inverse, 0.0, start, end
    )
    size = abs(held.quantity)
    floors = [size / f if held.inverse else f / size for f in held.tiers.floor[1:]]
    marks = np.array(
        [*np.linspace(start, end, 200), *(f * x for f in floors for x in (1 - 1e-9, 1.0, 1 + 1e-9))]
    )
    marks = marks[(marks >= min(start, end)) & (marks <= max(start, end))]
    slack = 1e-7 * size * max(notional(1.0, start, held.inverse), notional(1.0, end, held.inverse))
    before = marks if math.isnan(found) else marks[(marks / found - 1.0) * np.sign(end - start) < -1e-9]
    assert all(surplus(held, mark) > -slack for mark in before)
    if not math.isnan(found):
        beside = [found * x for x in (1 - 1e-9, 1.0, 1 + 1e-9)]
        assert min(surplus(held, mark) for mark in beside) <= slack


@given(positions())
def test_on_continuous_tiers_the_search_finds_the_closed_form(held):
    price = liquidation_price(held.quantity, held.entry_price, held.wallet, held.tiers, held.inverse)
    if surplus(held, held.entry_price) <= 0.0:
        return
    end = held.entry_price / 1e12 if held.quantity > 0.0 else held.entry_price * 1e12
    found = first_liquidation_mark(
        held.quantity, held.entry_price, held.wallet, held.tiers, held.inverse, 0.0, held.entry_price, end
    )
    assert found == pytest.approx(price, rel=1e-9, nan_ok=True)


def simulated(mode: str, closes: list[float], leverage: float) -> Simulator:
    tiers = TierSchedule.from_rates([0.0, 77_500.0], [0.01, 0.03], [50.0, 20.0], cap=1e9, marginal=False)
    data = market(closes, [Contract("X", schedules=(tiers,))])
    config = SimulationConfig(
        direction="free", margin_mode=mode, decision_interval="1h", start="first", slippage=0.0, ruin_fraction=0.0,
        max_leverage=20.0,
    )  # fmt: skip
    simulation = Simulator(data, table(data), config)
    simulation.reset(seed=0)
    simulation.step(np.array([[leverage]]))
    return simulation


@pytest.mark.parametrize("mode", ["isolated", "cross"])
def test_an_account_is_liquidated_between_ends_that_both_look_safe(mode):
    simulation = simulated(mode, [110.0, 110.0, 99.0, 99.0], 8.6)
    position, account = simulation.positions[0, 0].copy(), simulation.accounts[0].copy()
    size = float(position.quantity)
    balance_at_end = float(account.wallet_balance) + size * (99.0 - 110.0)
    assert size * 99.0 < 77_500.0 < size * 110.0
    assert balance_at_end > 0.01 * size * 99.0  # the end of the next bar looks safe
    told = float(simulation.view["liquidation_distance"][0, 0])
    simulation.step(np.array([[np.nan]]))
    expected = (size * 110.0 - float(account.wallet_balance)) / (size * 0.97)
    assert simulation.ledgers.liquidations[0, 0] == 1
    assert simulation.ledgers.execution_price[0, 0] == pytest.approx(expected)
    assert expected * size > 77_500.0
    assert told == pytest.approx(1.0 - expected / 110.0, rel=1e-6)


def test_one_cross_position_is_an_isolated_one_also_where_requirements_jump():
    for closes in ([110.0, 110.0, 99.0, 108.0, 108.0], [99.0, 99.0, 103.0, 120.0, 120.0]):
        for leverage in (8.6, -8.6, 9.5, -9.5):
            ends = [simulated(mode, closes, leverage) for mode in ("isolated", "cross")]
            for one in ends:
                one.step(np.array([[np.nan]]))
                one.step(np.array([[np.nan]]))
            isolated, cross = ends
            assert cross.accounts.equity[0] == pytest.approx(isolated.accounts.equity[0])
            assert cross.ledgers.liquidations[0, 0] == isolated.ledgers.liquidations[0, 0]


@given(st.floats(1e3, 1e8), st.floats(1e-4, 1e5), st.booleans())
def test_an_order_cut_to_its_cap_counts_as_the_tier_above_whatever_the_last_bit(cap, price, inverse):
    # Where the requirement is valued once, at entry, a product one bit below the floor would stay 1 % for good.
    tiers = TierSchedule.from_rates(
        [0.0, cap], [0.01, 0.03], [50.0, 20.0], cap=1e9, marginal=False
    ).to_records()
    row, ledger = records(1, row_dtype)[0], records(1, ledger_dtype)[0]
    row.tiers_last = 2
    value = 1.0 / price if inverse else price
    size = capped_size(2.0 * cap / value, value, Terms(None, None, tiers, row), ledger, 50.0)
    assert ledger.capped == 1
    assert size * value == pytest.approx(cap, rel=5e-16)
    assert maintenance_margin(notional(size, price, inverse), tiers) == pytest.approx(0.03 * cap)


@given(st.floats(1e3, 1e8), st.floats(1e-4, 1e5), st.sampled_from([0.0, 0.001, 1.0]))
def test_a_position_stepped_down_to_a_floor_counts_as_the_tier_below_whatever_the_last_bit(floor, price, lot):
    tiers = TierSchedule.from_rates(
        [0.0, floor], [0.01, 0.03], [50.0, 20.0], cap=1e9, marginal=False
    ).to_records()
    terms, config = records(1, contract_dtype)[0], records(1, config_dtype)[0]
    terms.lot_size, config.whole_position_tiers = lot, 1
    kept = size_below(floor, price, terms, config)
    assert tier_index(kept * price, tiers) == 0
    assert floor - 2.0 * lot * price <= kept * price * (1.0 + 1e-12)  # no more than a lot is given up


@pytest.mark.parametrize("lot", [0.0, 0.001])
def test_who_has_assigned_all_of_the_balance_is_refused_for_margin_or_size_not_by_rounding(lot):
    terms = Contract("X", schedules=(TIERS,), lot_size=lot, min_notional=5.0)
    other = Contract("Y", schedules=(TIERS,), lot_size=lot, min_notional=5.0)
    data = market(np.full((5, 2), 100.0), [terms, other])
    config = SimulationConfig(
        direction="free", decision_interval="1h", start="first", slippage=0.0, ruin_fraction=0.0, max_leverage=20.0,
        margin_share=(0.7, 0.3), initial_equity=10_000.0 / 3.0,
    )  # fmt: skip
    simulation = Simulator(data, table(data), config)
    simulation.reset(seed=0)
    simulation.step(np.array([[3.7, 0.0]]))
    simulation.positions.margin[0, 0] = simulation.accounts.assigned[0] = (
        simulation.accounts.wallet_balance[0] - 1e-12
    )
    simulation.step(np.array([[np.nan, 3.7]]))
    assert simulation.positions.quantity[0, 1] == 0.0
    assert simulation.ledgers.refused[0, 1] == (1 if lot else 3)
