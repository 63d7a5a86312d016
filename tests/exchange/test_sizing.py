"""What limits an order: the margin share of equity, and as a variant the free balance as venues count it."""

from __future__ import annotations

import numpy as np
import pytest
from tests.simulation.markets import contract, market, table

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
