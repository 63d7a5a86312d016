"""What limits an order: the margin share of equity, and as a variant the free balance as venues count it."""

from __future__ import annotations

import numpy as np
import pytest
from tests.simulation.markets import contract, market, table

from gearing.contracts import Contract, MarginTier, TierSchedule
from gearing.simulation import SimulationConfig, Simulator


def simulator(closes: list[float], **settings: object) -> Simulator:
    data = market(closes, [contract(f"X{j}") for j in range(np.atleast_2d(np.transpose(closes)).shape[0])])
    plain = {
        "decision_interval": "1h",
        "start": "first",
        "slippage": 0.0,
        "ruin_fraction": 0.0,
        "direction": "free",
    }
    simulation = Simulator(data, table(data), SimulationConfig(**{**plain, **settings}))
    simulation.reset(seed=0)
    return simulation


@pytest.mark.parametrize("mode", ["isolated", "cross"])
def test_unrealised_profit_pays_for_an_increase_by_equity_but_not_by_free_balance(mode):
    sizes = {}
    for sizing in ("equity", "free_balance"):
        simulation = simulator([100.0] * 2 + [110.0] * 3, margin_mode=mode, sizing=sizing)
        simulation.step(np.array([[2.0]]))
        # A coin at 2x takes 50 of margin and 0.05 of fee: 10 000 / 50.05 of them, and nothing is free.
        assert simulation.positions.quantity[0, 0] == pytest.approx(10_000.0 / 50.05)
        simulation.step(np.array([[np.nan]]))
        simulation.step(np.array([[2.0]]))  # 2x of an equity that has grown by a fifth asks for more
        sizes[sizing] = float(simulation.positions.quantity[0, 0])
    assert sizes["equity"] > 215.0
    assert sizes["free_balance"] == pytest.approx(10_000.0 / 50.05)


@pytest.mark.parametrize("mode", ["isolated", "cross"])
def test_free_balance_pays_initial_margin_fee_and_open_loss_of_what_is_added(mode):
    simulation = simulator([100.0] * 6, margin_mode=mode, sizing="free_balance", slippage=0.01)
    simulation.step(np.array([[1.0]]))
    simulation.step(np.array([[2.0]]))
    # Everything but profit may be used: at the fill of 101 a coin costs 50.5 of margin at 2x, 0.0505 of fee and 1 of
    # open loss, and what is held (at 101) keeps 50.5 of margin a coin.
    first = 10_000.0 / (101.0 + 0.0505 + 1.0)
    wallet = 10_000.0 - first * 0.0505
    added = (wallet - first * 1.0 - first * 50.5) / (50.5 + 0.0505 + 1.0)
    assert simulation.positions.quantity[0, 0] == pytest.approx(first + added)
    assert simulation.ledgers.refused[0, 0] == 0


def test_a_lower_setting_is_refused_where_its_top_up_is_not_free():
    simulation = simulator([100.0] * 2 + [60.0] * 3, margin_mode="cross", sizing="free_balance")
    simulation.step(np.array([[2.0]]))
    simulation.step(np.array([[np.nan]]))
    simulation.step(np.array([[1.0]]))
    # At 1x the position would bind its whole value; it is reduced, but its setting stays.
    assert simulation.positions.leverage[0, 0] == 2.0
    assert simulation.positions.quantity[0, 0] < 100.0


def test_initial_margins_of_all_cross_positions_are_taken_off_the_free_balance():
    closes = [[100.0, 50.0]] * 2 + [[120.0, 50.0]] * 3
    simulation = simulator(closes, margin_mode="cross", sizing="free_balance", margin_share=(0.5, 0.5))
    simulation.step(np.array([[4.0, 0.0]]))
    simulation.step(np.array([[np.nan, np.nan]]))
    simulation.step(np.array([[np.nan, 4.0]]))
    # Half of the wallet is bound by the first position; its profit does not pay for the second.
    first = 5_000.0 / 25.05
    wallet = 10_000.0 - first * 0.05
    second = (wallet - first * 25.0) / (12.5 + 0.025)
    assert simulation.positions.quantity[0].tolist() == pytest.approx([first, second])


def test_a_cross_account_may_lower_its_setting_where_the_venue_binds_isolated_ones():
    for mode, expected in (("isolated", 4.0), ("cross", 2.0)):
        simulation = simulator([100.0] * 6, margin_mode=mode, venue="binance-usdm")
        simulation.step(np.array([[4.0]]))
        simulation.step(np.array([[2.0]]))
        assert simulation.positions.leverage[0, 0] == expected


def test_an_unknown_combination_is_refused_with_what_to_do():
    with pytest.raises(ValueError, match="sizing is 'strict'; it must be one of equity, free_balance"):
        SimulationConfig(sizing="strict")
    with pytest.raises(ValueError, match="largest_loss_first"):
        SimulationConfig(liquidation="tier_step_down", margin_mode="cross")


TIERS = (  # floor, cap, rate, amount, largest leverage
    MarginTier(0.0, 50_000.0, 0.004, 0.0, 125.0),
    MarginTier(50_000.0, 600_000.0, 0.005, 50.0, 100.0),
    MarginTier(600_000.0, 1e9, 0.01, 3_050.0, 50.0),
)


def capped(closes: list[float], **settings: object) -> Simulator:
    """4,000 of equity that may hold 50,000 at 125x."""
    terms = Contract("X", schedules=(TierSchedule(TIERS, None, "test"),))
    data = market(closes, [terms])
    given = {
        "decision_interval": "1h", "start": "first", "slippage": 0.0, "ruin_fraction": 0.0, "direction": "free",
        "initial_equity": 4_000.0, "max_leverage": 125.0, **settings,
    }  # fmt: skip
    simulation = Simulator(data, table(data), SimulationConfig(**given))
    simulation.reset(seed=0)
    return simulation


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_an_order_cut_to_its_tiers_cap_posts_the_margin_of_what_was_filled(side):
    simulation = capped([100.0] * 6)
    simulation.step(np.array([[side * 125.0]]))
    # 125x of 4,000 asks for half a million; the tier allows 50,000, which is 500 coins and 50,000 / 125 of margin.
    assert simulation.ledgers.capped[0, 0] == 1
    assert simulation.positions.quantity[0, 0] == pytest.approx(side * 500.0)
    assert simulation.positions.margin[0, 0] == pytest.approx(400.0)
    simulation.step(np.array([[side * 125.0]]))  # the same at a rebalance
    assert simulation.positions.margin[0, 0] == pytest.approx(400.0)


def test_slippage_comes_out_of_the_margin_of_a_cut_order_and_adds_none():
    simulation = capped([100.0] * 6, slippage=0.001)
    simulation.step(np.array([[125.0]]))
    # At 100.1 the 50,000 are 499.5 coins; they are worth 0.1 less at the mark, which is unrealised.
    assert simulation.positions.quantity[0, 0] == pytest.approx(50_000.0 / 100.1)
    assert simulation.positions.margin[0, 0] == pytest.approx(400.0)
    assert simulation.positions.unrealised[0, 0] == pytest.approx(-0.1 * 50_000.0 / 100.1)


def test_a_position_cut_to_its_cap_is_liquidated_where_the_venue_does_and_loses_its_margin():
    # W = 400, q = 500, E = 100: (400 + 0 - 500 x 100) / (500 x (0.004 - 1)) = 99.5984, passed by the fall to 99.5.
    simulation = capped([100.0] * 3 + [99.5] * 4)
    simulation.step(np.array([[125.0]]))
    assert simulation.ledgers.liquidation_price[0, 0] == pytest.approx(49_600.0 / 498.0)
    for _ in range(2):
        simulation.step(np.array([[np.nan]]))
    assert simulation.ledgers.liquidations[0, 0] == 1
    assert simulation.ledgers.execution_price[0, 0] == pytest.approx(49_600.0 / 498.0)
    # What is left is 4,000 less the fee of 25 and the margin of 400.
    assert simulation.accounts.equity[0] == pytest.approx(3_575.0)


def test_the_rest_of_the_share_backs_an_order_that_is_not_cut():
    simulation = capped([100.0] * 6)
    simulation.step(np.array([[10.0]]))
    # 10x of 4,000: a coin takes 10 of margin and 0.05 of fee. All but the fee is posted.
    coins = 4_000.0 / 10.05
    assert simulation.ledgers.capped[0, 0] == 0
    assert simulation.positions.margin[0, 0] == pytest.approx(4_000.0 - 0.05 * coins)


def test_margin_grows_back_to_the_share_when_a_cut_target_falls_below_its_cap():
    simulation = capped([100.0] * 6)
    simulation.step(np.array([[125.0]]))
    simulation.step(np.array([[5.0]]))
    # 5x of 3,975 is 198.75 coins: 301.25 are sold for a fee of 0.05 each, and the rest of the share is posted.
    assert simulation.positions.quantity[0, 0] == pytest.approx(198.75)
    assert simulation.positions.margin[0, 0] == pytest.approx(3_975.0 - 301.25 * 0.05)


def test_a_cross_account_backs_a_cut_order_with_everything():
    simulation = capped([100.0] * 3 + [99.5] * 4, margin_mode="cross")
    for target in (125.0, np.nan, np.nan):
        simulation.step(np.array([[target]]))
    assert simulation.ledgers.liquidations[0, 0] == 0


@pytest.mark.parametrize("mode", ["isolated", "cross"])
def test_the_ledger_holds_the_liquidation_price_of_every_open_position(mode):
    closes = np.transpose([[100.0] * 6, [50.0] * 6])
    simulation = simulator(closes, margin_mode=mode, margin_share=(0.5, 0.25))
    simulation.step(np.array([[4.0, -2.0]]))
    q, margin = simulation.positions.quantity[0], simulation.positions.margin[0]
    if mode == "isolated":
        # Rate 0.005, no amount: (W - q E) / (q (m - 1)) of a long, (W + q E) / (q (m + 1)) of a short.
        expected = [
            (margin[0] - q[0] * 100.0) / (q[0] * (0.005 - 1.0)),
            (margin[1] - q[1] * 50.0) / (-q[1] * 1.005),
        ]
    else:
        # All of the wallet, less the maintenance margin of the other position at its mark.
        wallet = simulation.accounts.wallet_balance[0]
        needed = 0.005 * np.abs(q) * [100.0, 50.0]
        expected = [
            (wallet - needed[1] - q[0] * 100.0) / (q[0] * (0.005 - 1.0)),
            (wallet - needed[0] - q[1] * 50.0) / (-q[1] * 1.005),
        ]
    stepped = simulation.ledgers.liquidation_price[0].copy()
    assert stepped.tolist() == pytest.approx(expected)
    # A whole path in compiled code records the same, and a flat slot has none.
    simulation.reset(seed=0)
    _, ledgers = simulation.run(np.array([[4.0, -2.0], [4.0, 0.0]]), record_ledgers=True)
    np.testing.assert_array_equal(ledgers.liquidation_price[0, 0], stepped)
    assert np.isnan(ledgers.liquidation_price[0, 1, 1])
