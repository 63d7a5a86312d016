"""What venues let a user choose, in a whole Simulator, with every number worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from tests.simulation.markets import START, market, table

from gearing.contracts import Contract, MarginTier, TierSchedule, VenueProfile, venue
from gearing.exchange.records import guard_dtype, records
from gearing.simulation import SimulationConfig, Simulator
from gearing.simulation.config import Slippage

DAY = date(2024, 1, 1)
FREE = VenueProfile("test", DAY, 0.0, 0.0)


def simulator(of, **settings) -> Simulator:
    plain = {
        "venue": FREE, "slippage": 0.0, "start": "first", "decision_interval": "1h", "max_leverage": 50.0,
        "ruin_fraction": 0.0, "direction": "free",
    }  # fmt: skip
    made = Simulator(of, table(of), SimulationConfig(**{**plain, **settings}))
    made.reset(seed=0)
    return made


def run(made: Simulator, *targets: float) -> Simulator:
    for target in targets:
        made.step(np.array([[target]]))
    return made


def hold(made: Simulator, steps: int = 1) -> Simulator:
    return run(made, *[math.nan] * steps)


@pytest.mark.parametrize(
    ("order", "level", "rate"),
    [
        ("taker", None, 0.0005),
        ("maker", None, 0.0002),
        ("taker", "VIP 1", 0.0004),
        ("maker", "VIP 1", 0.00016),
    ],
)
def test_an_order_pays_the_fee_of_its_kind_and_level(order, level, rate):
    levels = (("VIP 0", 0.0005, 0.0002), ("VIP 1", 0.0004, 0.00016))
    profile = replace(FREE, taker_fee=0.0005, maker_fee=0.0002, fee_levels=levels)
    made = run(simulator(market([100.0] * 4), venue=profile, order=order, fee_level=level), 0.5)
    # 0.5 x 10 000 at 100 are 50 coins
    assert made.ledgers.fees[0, 0] == pytest.approx(-5_000.0 * rate)


def test_slippage_is_constant_proportional_to_the_range_and_to_the_root_of_the_share_of_volume():
    bars = market([100.0] * 30, wick=0.02)  # high 102, low 98, close 100
    assert run(simulator(bars, slippage=0.001), 0.5).positions.entry_price[0, 0] == pytest.approx(100.1)
    ranged = run(simulator(bars, slippage=Slippage(0.001, range_share=0.1)), 0.5)
    assert ranged.positions.entry_price[0, 0] == pytest.approx(100.0 * (1 + 0.001 + 0.1 * 0.04))
    # Closes of 100 and 101 in turn: 24 returns of ln 1.01 before the order; a coin an hour is traded, 24 a day
    # at the last close.
    turns = market([100.0, 101.0] * 20)
    rooted = simulator(turns, slippage=Slippage(0.0, impact=2.0))
    hold(rooted, 25)
    run(rooted, 0.5)
    opened = rooted.tape.rows.open[26, 0]
    volatility, value = math.sqrt(24) * math.log(1.01), 24 * turns.close[25, 0]
    size = float(rooted.positions.quantity[0, 0])
    slipped = 2.0 * volatility * math.sqrt(size * opened / value)
    assert rooted.positions.entry_price[0, 0] == pytest.approx(opened * (1 + slipped), rel=1e-6)


def test_the_last_price_liquidates_where_it_is_chosen_and_the_mark_did_not_wick():
    calm, wicked = market([100.0] * 5), market([100.0] * 5, wick=0.12)
    of = replace(wicked, mark=calm.last)  # the traded price touches 88, the mark stays at 100
    for series, liquidations in (("mark", 0), ("last", 1)):
        made = run(simulator(of, liquidation_series=series), 10.0)
        assert made.ledgers.liquidations[0, 0] == liquidations
    # 10x, 0.5 %: (1000 - 10 000) / (100 x -0.995) = 90.4522...
    assert made.ledgers.execution_price[0, 0] == pytest.approx(9_000.0 / 99.5)


def test_tiers_hold_from_their_date_on():
    low, high = (MarginTier(0.0, 1e9, rate, 0.0, 50.0) for rate in (0.005, 0.019))
    dated = (TierSchedule((low,), DAY, "test"), TierSchedule((high,), date(2024, 1, 2), "test"))
    of = market([*[100.0] * 2, *[91.5] * 40], [Contract("X", schedules=dated)])
    made = run(simulator(of), 10.0)
    hold(made, 21)
    # At 91.5 a coin bought at 100 with 10 of margin has 1.5; it needs 0.4575 at 0.5 %, 1.7385 at 1.9 %.
    assert made.positions.quantity[0, 0] == pytest.approx(1_000.0)
    while not made.ledgers.liquidations[0, 0]:
        hold(made)
    assert made.tape.row_time[int(made.accounts.row[0]) - 1] == START + np.timedelta64(1, "D")


@pytest.mark.parametrize(
    ("settlement", "fee", "closes", "left", "fund"),
    [
        # 20x on 10 000: 2000 coins with 5 of margin each. At a mark of 95.4773869 margin is maintenance.
        ("bankruptcy", 0.0, [100.0, 100.0, 100.0, 95.2], 0.0, -954.7738693),
        ("fee_then_return", 0.0, [100.0, 100.0, 100.0, 95.2], 954.7738693, 0.0),
        # 0.2 % of 190 954.77 are 381.91
        ("fee_then_return", 0.002, [100.0, 100.0, 100.0, 95.2], 572.8643216, -381.9095477),
        ("fee_then_return", 0.0125, [100.0, 100.0, 100.0, 95.2], 0.0, -954.7738693),
    ],
)
def test_what_a_liquidation_leaves_to_the_trader_and_to_the_fund(settlement, fee, closes, left, fund):
    of = market([*closes, closes[-1]])
    made = simulator(of, venue=replace(FREE, liquidation_fee=fee), settlement=settlement)
    run(made, 20.0)
    hold(made, 2)
    assert made.ledgers.liquidations[0, 0] == 1
    assert made.accounts.equity[0] == pytest.approx(left, abs=1e-6)
    assert made.accounts.insurance[0] == pytest.approx(fund, abs=1e-6)


def test_the_fund_pays_what_a_gap_takes_beyond_the_margin():
    flat = market([100.0] * 5)
    last = flat.last.copy()
    last[3:] = 93.0  # the bar opens at 93: 2000 coins lose 14 000 of 10 000
    made = run(simulator(replace(flat, last=last, mark=last)), 20.0)
    hold(made, 2)
    assert made.ledgers.execution_price[0, 0] == 93.0
    assert made.accounts.equity[0] == 0.0
    assert made.accounts.insurance[0] == pytest.approx(4_000.0)
    assert made.ledgers.price_pnl[0, 0] == pytest.approx(-14_000.0)
    assert made.ledgers.liquidation[0, 0] == pytest.approx(4_000.0)


def test_settlements_of_any_interval_reach_the_position_that_was_carried_into_them():
    # Every hour from 01:00 on, 0.1 % of 5000; the order of 00:00 fills at 01:00 and does not pay there.
    hours = [START + np.timedelta64(k, "h") for k in (1, 2, 3, 5)]
    of = market([100.0] * 8, funding=[(t, 0, 0.001) for t in hours])
    made = simulator(of)
    paid = []
    for target in (0.5, math.nan, math.nan, math.nan, math.nan):
        run(made, target)
        paid.append(float(made.ledgers.funding[0, 0]))
    assert paid == pytest.approx([0.0, -5.0, -5.0, 0.0, -5.0])


def test_funding_comes_from_the_free_balance_first_where_the_venue_says_so():
    hours = [(START + np.timedelta64(3, "h"), 0, 0.01)]
    margins = []
    for profile in (FREE, replace(FREE, funding_debit="free_balance_first")):
        made = run(simulator(market([100.0] * 6, funding=hours), venue=profile, margin_share=0.5), 2.0)
        hold(made, 2)
        assert made.ledgers.funding[0, 0] == pytest.approx(-100.0)  # 1 % of 2 x 5000
        margins.append(float(made.positions.margin[0, 0]))
    assert margins == pytest.approx([4_900.0, 5_000.0])


def test_resting_orders_watch_the_series_they_are_set_to():
    calm, wicked = market([100.0] * 5), market([100.0] * 5, wick=0.03)
    of = replace(wicked, mark=calm.last)
    for trigger_last, stops in ((0, 0), (1, 1)):
        guards = records((1, 1), guard_dtype)
        guards.stop, guards.take_profit, guards.trailing = 0.02, math.nan, math.nan
        guards.trigger_last = trigger_last
        made = simulator(of)
        made.step(np.array([[2.0]]), guards)
        assert made.ledgers.stops[0, 0] == stops
    assert made.accounts.equity[0] == pytest.approx(10_000.0 - 200 * 2.0)  # filled at 98


# --- partial liquidation: floors of 100, 200 and 300 thousand at 1, 2, 3 and 4 %

FLOORS = [0.0, 100_000.0, 200_000.0, 300_000.0]
LADDER = Contract(
    "X",
    schedules=(TierSchedule.from_rates(FLOORS, [0.01, 0.02, 0.03, 0.04], [50.0, 40.0, 30.0, 20.0], cap=1e9),),
)


def stepped(liquidation: str, closes: list[float], **settings) -> Simulator:
    """A long of 4000 coins entered at 100 with 20 000: it needs 4 % less 6000 of its value."""
    made = simulator(market(closes, [LADDER]), liquidation=liquidation, initial_equity=20_000.0, **settings)
    return hold(run(made, 20.0), len(closes) - 3)


# 20 000 + 4000 (P - 100) = 160 P - 6000 at P = 374 000 / 3840 = 97.3958333
TRIGGER = 374_000.0 / 3_840.0


@pytest.mark.parametrize(
    ("liquidation", "kept"), [("tier_step_down", 300_000.0), ("two_tiers_down", 200_000.0)]
)
def test_a_partial_liquidation_keeps_the_cap_of_a_lower_tier(liquidation, kept):
    made = stepped(liquidation, [100.0, 100.0, 100.0, 97.39, 97.39])
    assert made.ledgers.partial_liquidations[0, 0] == 1
    assert made.ledgers.liquidations[0, 0] == 0
    assert made.ledgers.execution_price[0, 0] == pytest.approx(TRIGGER)
    assert made.positions.quantity[0, 0] == pytest.approx(kept / TRIGGER)
    # Without a fee equity is what the price left of it.
    sold = 4_000.0 - kept / TRIGGER
    expected = 20_000.0 + sold * (TRIGGER - 100.0) + kept / TRIGGER * (97.39 - 100.0)
    assert made.accounts.equity[0] == pytest.approx(expected)


def test_two_tiers_down_closes_what_has_fewer_below_it():
    # 1500 coins with 20 000: (150 000 - 20 000 - 1000) / (1500 x 0.98) = 87.755
    for liquidation, partial in (("tier_step_down", 1), ("two_tiers_down", 0)):
        made = simulator(market([100.0, 100.0, 100.0, 87.7, 87.7], [LADDER]), liquidation=liquidation,
                         initial_equity=20_000.0)  # fmt: skip
        hold(run(made, 7.5), 2)
        assert made.ledgers.partial_liquidations[0, 0] == partial
        assert made.ledgers.liquidations[0, 0] == 1 - partial


def test_a_large_position_loses_a_fifth_first_and_the_rest_where_the_bar_goes_on():
    made = stepped("fifth_first", [100.0, 100.0, 100.0, 97.39, 97.39])
    assert made.ledgers.partial_liquidations[0, 0] == 1
    assert made.positions.quantity[0, 0] == pytest.approx(3_200.0)
    # 3200 coins: 20 000 - 800 x 2.604... + 3200 (P - 100) = 128 P - 6000 gives 95.93; a bar to 95 goes beyond.
    deeper = stepped("fifth_first", [100.0, 100.0, 100.0, 95.0, 95.0], settlement="fee_then_return")
    left = 20_000.0 + 800.0 * (TRIGGER - 100.0)
    second = (320_000.0 - left - 6_000.0) / (3_200.0 * 0.96)
    assert deeper.ledgers.partial_liquidations[0, 0] == 1
    assert deeper.ledgers.liquidations[0, 0] == 1
    assert deeper.ledgers.execution_price[0, 0] == pytest.approx(second)
    assert deeper.accounts.equity[0] == pytest.approx(left + 3_200.0 * (second - 100.0))


def test_nothing_returns_of_a_position_with_less_than_two_thirds_of_its_maintenance():
    flat = market([100.0] * 5, [LADDER])
    # 4000 coins that open at 96 have 4000 left of 9360 needed, less than two thirds; at 97 they have 8000 of 9520,
    # so that a fifth is sold first: 3200 coins need 6416.
    for opened, partial, left in ((96.0, 0, 0.0), (97.0, 1, 8_000.0)):
        last = flat.last.copy()
        last[3:] = opened
        made = simulator(
            replace(flat, last=last, mark=last), liquidation="fifth_first", settlement="fee_then_return",
            initial_equity=20_000.0,
        )  # fmt: skip
        hold(run(made, 20.0), 2)
        assert made.ledgers.partial_liquidations[0, 0] == partial
        assert made.accounts.equity[0] == pytest.approx(left)


@pytest.mark.parametrize("name", ["okx", "hyperliquid"])
def test_a_profile_says_how_its_venue_liquidates_in_part(name):
    word = {"okx": "two_tiers_down", "hyperliquid": "fifth_first"}[name]
    assert f"liquidation={word!r}".replace("'", '"') in str(venue(name)).replace("'", '"')
