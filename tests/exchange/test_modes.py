"""Modes that a whole Simulator is needed for: trades chosen at entry, delisting, hedge mode, posted margin."""

from __future__ import annotations

import gymnasium
import numpy as np
import pandas as pd
import pytest

import gearing
from gearing.contracts import Contract, MarginTier, TierSchedule
from gearing.features import FeatureSet
from gearing.policies import make_rule
from gearing.simulation import SimulationConfig, Simulator

TIERS = (TierSchedule((MarginTier(0.0, 1e9, 0.005, 0.0, 100.0),)),)


def market(close: list[float], symbol: str = "X") -> gearing.MarketData:
    """Hourly bars through the given closes, mark equal to last, no funding."""
    closes = np.asarray(close, float)
    times = pd.date_range("2024-01-01", periods=closes.size, freq="h", tz="UTC")
    opens = np.concatenate([closes[:1], closes[:-1]])
    bars = pd.DataFrame({"open_time": times, "open": opens, "high": np.maximum(opens, closes)})
    bars["low"], bars["close"], bars["volume"] = np.minimum(opens, closes), closes, 1.0
    funding = pd.DataFrame({"time": times[::8], "rate": 0.0})
    return gearing.MarketData.from_frames(
        bars, mark=bars, funding=funding, contract=Contract(symbol, schedules=TIERS)
    )


def simulator(
    data: gearing.MarketData, table: gearing.FeatureTable | None = None, **settings: object
) -> Simulator:
    table = table if table is not None else FeatureSet(["log_return"]).compute(data)
    plain = {
        "decision_interval": "1h", "start": "first", "slippage": 0.0, "ruin_fraction": 0.0, "max_leverage": 50.0,
    }  # fmt: skip
    simulation = Simulator(data, table, SimulationConfig(**{**plain, **settings}))
    simulation.reset(seed=0)
    return simulation


def test_a_trade_chosen_at_entry_lasts_to_the_change_of_its_signal():
    data = market([100.0, 100.0, 100.0, 100.0, 101.0, 102.0, 103.0, 104.0, 105.0, 105.0, 105.0, 105.0])
    # The signal is 1 at the closes of bars 3 to 5 and 0 at that of 6: from the open of 4 (100) to the open of 7 (103).
    signal = np.zeros((12, 1))
    signal[3:6] = 1.0
    signal[9:] = -1.0
    table = FeatureSet(["log_return"]).compute(data).join("side", signal, unit="-", lower=-1.0, upper=1.0)
    simulation = simulator(data, table, decision="at_entry", direction="signal:side", max_leverage=20.0)
    assert simulation.n_decisions == 2
    simulation.step(np.array([[2.0]]))
    ledger = simulation.ledgers[0, 0]
    assert ledger.fills == 2
    # A coin takes 50 of margin at 2x and 0.05 of fee: 10 000 / 50.05. It gains 3, from 100 to 103.
    coins = 10_000.0 / 50.05
    assert ledger.price_pnl == pytest.approx(coins * 3.0)
    assert ledger.fees == pytest.approx(-coins * (100.0 + 103.0) * 5e-4)
    assert simulation.positions[0, 0].quantity == 0.0


def test_posted_margin_is_the_most_that_an_isolated_position_loses():
    data = market([100.0] * 4 + [20.0] * 4)
    simulation = simulator(data, margin_share=0.1, slippage=0.01)
    simulation.step(np.array([[20.0]]))
    while not simulation.ledgers[0, 0].liquidations:
        simulation.step(np.array([[np.nan]]))
    # 10 % of 10 000 was posted, fee and open loss of the entry included.
    assert simulation.accounts.equity[0] >= 9_000.0 - 1e-9
    assert simulation.accounts.equity[0] <= 9_000.0 + 1.0


def test_legs_of_a_hedged_contract_live_side_by_side():
    data = market([100.0, 100.0, 100.0, 110.0, 110.0, 110.0])
    simulation = simulator(data, position_mode="hedge", direction="free")
    assert simulation.slots == ("X:long", "X:short")
    simulation.step(np.array([[4.0, -2.0]]))
    # Half of the equity each; a coin takes 25 of margin at 4x, 50 at 2x, and 0.05 of fee.
    long, short = 5_000.0 / 25.05, 5_000.0 / 50.05
    assert simulation.positions.quantity[0].tolist() == pytest.approx([long, -short])
    simulation.step(np.full((1, 2), np.nan))
    assert simulation.ledgers.price_pnl[0].tolist() == pytest.approx([10.0 * long, -10.0 * short])
    # The short closes alone.
    simulation.step(np.array([[np.nan, 0.0]]))
    assert simulation.positions.quantity[0].tolist() == pytest.approx([long, 0.0])


def test_stress_takes_a_winner_out_of_a_fast_move():
    data = market([100.0, 100.0, 100.0, 120.0, 120.0])
    simulation = simulator(data, deleveraging_move=0.1)
    simulation.step(np.array([[2.0]]))
    simulation.step(np.array([[np.nan]]))
    # Closed at 110 without a fee, though the bar went on to 120.
    assert simulation.ledgers.deleveragings[0, 0] == 1
    assert simulation.ledgers.price_pnl[0, 0] == pytest.approx(10_000.0 / 50.05 * 10.0)
    assert simulation.ledgers.fees[0, 0] == 0.0


@pytest.mark.parametrize("rule", ["fixed_3x", "volatility_weighted"])
def test_a_rule_of_one_leverage_per_contract_is_refused_in_hedge_mode(rule):
    market = gearing.synthetic_market("market-b", seed=5, years=0.5)
    with pytest.raises(ValueError, match=r"signed target leverage for every leg.*one_way"):
        gearing.backtest(make_rule(rule), market, position_mode="hedge")


def test_actions_in_hedge_mode_say_how_much_of_each_leg():
    market = gearing.synthetic_market("market-b", seed=5, years=0.5)
    env = gymnasium.make("gearing/Perpetual-v0", market=market, position_mode="hedge", max_leverage=4.0)
    env.reset(seed=0)
    env.step(np.array([0.0, -0.5], np.float32))  # half and a quarter of 4x
    assert env.unwrapped.simulator.decided.tolist() == [[2.0, -1.0]]
