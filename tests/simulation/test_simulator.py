"""The Simulator sizes, clocks and resets as its documentation says."""

from dataclasses import replace

import numpy as np
import pytest

import gearing
from gearing.contracts import VenueProfile
from gearing.simulation.config import SimulationConfig
from gearing.simulation.simulator import Simulator
from gearing.simulation.tape import decision_bars

from .markets import HOUR, START, contract, market, table

FREE = VenueProfile("test", np.datetime64("2024-01-01").astype(object), 0.0, 0.0)
FEES = VenueProfile("test", np.datetime64("2024-01-01").astype(object), 0.001, 0.0)


def simulator(of, features=None, **settings):
    defaults = {
        "venue": FREE, "slippage": 0.0, "start": "first", "decision_interval": "1h", "max_leverage": 100.0,
    }  # fmt: skip
    made = Simulator(of, features or table(of), SimulationConfig(**{**defaults, **settings}))
    made.reset(seed=0)
    return made


def test_equity_follows_target_leverage_without_costs():
    made = simulator(market([100.0, 100.0, 101.0, 99.0]))
    made.step(np.array([[3.0]]))  # decided at the close of bar 0, filled at 100, marked at 100
    made.step(np.array([[np.nan]]))
    # 300 units of 100 each: +1 % x 3
    assert made.accounts.equity[0] == pytest.approx(10_300.0)
    made.step(np.array([[np.nan]]))
    assert made.accounts.equity[0] == pytest.approx(10_000.0 + 300.0 * -1.0)


def test_size_leaves_room_for_margin_and_fee_at_full_leverage():
    made = simulator(market([100.0] * 4), venue=FEES)
    made.step(np.array([[10.0]]))
    # q (100 / 10 + 0.1) = 10 000: initial margin 10 and a fee of 0.1 for each unit
    assert made.positions.quantity[0, 0] == pytest.approx(10_000.0 / 10.1)
    assert made.accounts.equity[0] == pytest.approx(10_000.0 - 0.1 * 10_000.0 / 10.1)


def test_quantity_is_rounded_down_to_the_lot_and_the_fill_up_to_the_tick():
    made = simulator(market([100.0] * 4, [contract(lot=7.0, tick=0.5)]), slippage=0.001)
    made.step(np.array([[1.0]]))
    # buys at 100.1 -> 100.5; of the 99.0.. units that 10 000 can margin, whole lots of 7
    assert made.positions.entry_price[0, 0] == 100.5
    assert made.positions.quantity[0, 0] == 98.0


def test_unlevered_rest_of_the_margin_share_backs_the_position():
    made = simulator(market([100.0] * 4), margin_share=0.5)
    made.step(np.array([[0.4]]))
    assert made.positions.quantity[0, 0] == pytest.approx(20.0)  # 0.4 x 0.5 x 10 000 / 100
    assert made.positions.margin[0, 0] == pytest.approx(5_000.0)


def test_isolated_loses_at_most_the_posted_margin():
    crash = [100.0, 100.0, 100.0, 40.0, 40.0]
    made = simulator(market(crash), margin_share=0.1)
    for _ in range(3):
        made.step(np.array([[10.0]]))
        if made.steps.liquidations[0]:
            break
    assert made.steps.liquidations[0] == 1
    assert made.accounts.equity[0] == pytest.approx(9_000.0)
    assert made.positions.quantity[0, 0] == 0.0


def test_a_liquidated_account_stays_flat_until_its_next_decision():
    path = [100.0, 100.0, 80.0, 100.0, 100.0, 100.0]
    hourly = simulator(market(path), margin_share=0.5)
    hourly.step(np.array([[10.0]]))
    hourly.step(np.array([[np.nan]]))  # the crash of bar 2
    assert hourly.steps.liquidations[0] == 1
    hourly.step(np.array([[np.nan]]))
    assert hourly.positions.quantity[0, 0] == 0.0
    hourly.step(np.array([[1.0]]))
    assert hourly.positions.quantity[0, 0] > 0.0


@pytest.mark.parametrize(
    ("interval", "expected"),
    [("1h", range(200)), ("8h", range(0, 200, 8)), ("24h", range(0, 200, 24)), ("7d", (0, 168))],
)
def test_decisions_fall_on_closes_divisible_by_the_interval(interval, expected):
    from gearing.features import parse_duration

    times = START + HOUR * np.arange(200)
    assert decision_bars(times, parse_duration(interval), HOUR).tolist() == list(expected)


@pytest.mark.parametrize("interval", ["5h", "36h", "8d", "90m"])
def test_an_interval_off_the_clock_is_refused(interval):
    with pytest.raises(ValueError, match="decision_interval"):
        simulator(market([100.0] * 500), decision_interval=interval)


def test_a_settlement_at_the_fill_spares_the_new_position_and_charges_the_old_one():
    stamps = [(START + HOUR * k, 0, 0.01) for k in (1, 2)]
    made = simulator(market([100.0] * 5, funding=stamps))
    made.step(np.array([[1.0]]))  # fills at 01:00, when the first settlement is already over
    assert made.steps.funding[0] == 0.0
    made.step(np.array([[0.0]]))  # closes at 02:00, after the second was paid
    assert made.steps.funding[0] == pytest.approx(-100.0)


@pytest.mark.parametrize(
    ("mode", "trades"),
    [
        ("every_decision", True),
        ("on_change", False),
        ("band(0.5)", False),
        ("band(0.01)", True),
        ("never", False),
    ],
)
def test_rebalance_modes(mode, trades):
    made = simulator(market([100.0, 100.0, 110.0, 110.0, 110.0]), rebalance=mode)
    made.step(np.array([[2.0]]))
    made.step(np.array([[2.0]]))
    before = made.positions.quantity[0, 0]
    made.step(np.array([[2.0]]))  # leverage has drifted to 2.2 / 1.2
    assert (made.positions.quantity[0, 0] != before) == trades


def test_an_order_above_the_tier_is_reduced_to_its_cap_and_counted():
    from gearing.contracts import Contract, MarginTier, TierSchedule

    tiers = (MarginTier(0.0, 50_000.0, 0.005, 0.0, 100.0), MarginTier(50_000.0, 1e7, 0.01, 250.0, 5.0))
    capped = Contract("X", schedules=(TierSchedule(tiers, None, "test"),))
    made = simulator(market([100.0] * 4, [capped]))
    made.step(np.array([[20.0]]))  # 200 000 wanted; 20x is allowed up to 50 000
    assert made.positions.quantity[0, 0] == pytest.approx(500.0)
    assert made.steps.capped[0] == 1


def test_an_order_below_the_minimum_is_refused_and_counted():
    made = simulator(market([100.0] * 4, [contract(smallest=5.0)]))
    made.step(np.array([[0.0004]]))
    assert made.positions.quantity[0, 0] == 0.0
    assert made.steps.refused[0] == 1


def test_a_position_closes_at_the_last_mark_of_a_delisted_contract():
    prices = np.array([100.0, 100.0, 104.0, 104.0, 104.0, 104.0])
    tradable = np.array([True, True, True, False, False, False])[:, None]
    whole = market(prices)
    last = whole.last.copy()
    last[3:] = np.nan
    delisted = replace(whole, last=last, mark=last, tradable=tradable)
    made = simulator(delisted)
    made.step(np.array([[2.0]]))
    made.step(np.array([[2.0]]))
    assert made.ledgers.delistings[0, 0] == 1
    assert made.accounts.equity[0] == pytest.approx(10_800.0)  # 200 units x 4
    made.step(np.array([[2.0]]))
    assert made.positions.quantity[0, 0] == 0.0


def test_trades_of_at_entry_last_as_long_as_the_signal():
    signal = np.array([0, 0, 1, 1, 0, 0, -1, -1, 0, 0], float)
    prices = [100.0, 100.0, 100.0, 102.0, 102.0, 102.0, 102.0, 100.98, 100.98, 100.98]
    of = market(prices)
    made = simulator(of, table(of, signal=signal), decision="at_entry", direction="signal:signal")
    # The signal turns at the close of bar 2: in at the open of bar 3, out at the open of bar 5.
    made.step(made.directed(np.array([[2.0]])))
    assert made.accounts.equity[0] == pytest.approx(10_400.0)
    assert made.positions.quantity[0, 0] == 0.0
    made.step(made.directed(np.array([[2.0]])))  # short from 102 to 100.98: 1 % x 2
    assert made.accounts.equity[0] == pytest.approx(10_400.0 * 1.02)


def test_finer_bars_are_the_path_inside_a_bar():
    hourly = market([100.0, 100.0, 100.0, 100.0], wick=0.2)
    quarter = np.timedelta64(15, "m")
    n = 16
    flat = np.full((n, 1, 4), 100.0)
    finer = replace(
        hourly, open_time=START + quarter * np.arange(n), bar=quarter.astype("timedelta64[ms]"), last=flat,
        mark=flat, volume=np.ones((n, 1)), tradable=np.ones((n, 1), bool),
    )  # fmt: skip
    coarse, fine = simulator(hourly), simulator(hourly.with_finer(finer))
    for made in (coarse, fine):
        made.step(np.array([[10.0]]))
    assert coarse.accounts.equity[0] == 0.0  # the hour's wick liquidates
    assert fine.accounts.equity[0] == 10_000.0  # the quarters show that it never happened


def test_no_bar_after_a_decision_touches_it():
    """Perturb every bar after t on the bare env: everything up to t is the same to the last bit."""
    import gymnasium

    whole = gearing.synthetic_market("market-b", seed=1, years=1)
    cut = whole.open_time[6_000]
    rng = np.random.default_rng(0)
    factor = np.exp(rng.normal(0, 0.05, (whole.n_bars, 1, 1)))
    factor[:6_000] = 1.0
    changed = replace(whole, last=whole.last * factor, mark=whole.mark * factor)
    runs = []
    for of in (whole, changed):
        env = gymnasium.make("gearing/Perpetual-v0", market=of, start="first", max_leverage=5.0)
        observation, info = env.reset(seed=0)
        seen = [observation]
        actions = np.random.default_rng(1).uniform(-1, 1, (400, 1)).astype(np.float32)
        for action in actions:
            observation, reward, _, _, info = env.step(action)
            if np.datetime64(info["time"], "ms") > cut:
                break
            seen += [observation, np.array([reward, info["equity"]])]
        runs.append(np.concatenate(seen))
    assert runs[0].size > 1_000
    np.testing.assert_array_equal(runs[0], runs[1])


def test_a_market_and_a_table_of_other_bars_are_refused():
    of = market([100.0] * 10)
    with pytest.raises(ValueError, match="does not belong"):
        Simulator(of, table(of.between(end=of.open_time[5])))


def test_an_empty_list_of_tables_is_refused_with_what_to_give():
    with pytest.raises(ValueError, match=r"0 feature tables were given for 1 market\(s\); give one for each"):
        Simulator(market([100.0] * 5), [], SimulationConfig())


def test_a_policy_beyond_the_largest_leverage_is_refused():
    made = simulator(market([100.0] * 5), max_leverage=5.0)
    with pytest.raises(ValueError, match="exceeds max_leverage 5"):
        made.step(np.array([[6.0]]))


def test_a_negative_magnitude_under_a_fixed_direction_is_refused():
    made = simulator(market([100.0] * 5))
    with pytest.raises(ValueError, match="owns the side"):
        made.directed(np.array([[-1.0]]))


def test_permuting_contracts_permutes_results():
    prices = np.cumprod(1 + np.random.default_rng(3).normal(0, 0.02, (60, 2)), axis=0) * [100.0, 7.0]
    contracts = [contract("A"), contract("B")]
    left = simulator(market(prices, contracts), margin_share=(0.4, 0.5))
    right = simulator(market(prices[:, ::-1], contracts[::-1]), margin_share=(0.5, 0.4))
    for _ in range(50):
        left.step(np.array([[3.0, 2.0]]))
        right.step(np.array([[2.0, 3.0]]))
    assert left.accounts.equity[0] == pytest.approx(right.accounts.equity[0], rel=1e-12)


def test_one_cross_position_behaves_like_an_isolated_one_with_all_of_the_wallet():
    prices = np.cumprod(1 + np.random.default_rng(4).normal(0, 0.01, 300)) * 100.0
    of = market(prices, wick=0.004, funding=[(START + HOUR * k, 0, 0.0003) for k in range(8, 300, 8)])
    pair = [simulator(of, margin_mode=mode, rebalance="never") for mode in ("isolated", "cross")]
    for _ in range(290):
        for made in pair:
            made.step(np.array([[4.0]]))
        assert pair[0].accounts.equity[0] == pytest.approx(pair[1].accounts.equity[0], rel=1e-10)
        assert pair[0].steps.liquidations[0] == pair[1].steps.liquidations[0]


def test_accounts_on_paths_of_different_contracts_trade_each_under_its_own_terms():
    closes = [100.0 + k for k in range(30)]
    markets = [
        market(closes, [contract(f"C{lot:g}", lot=lot, rate=0.0003 * lot)]) for lot in (1.0, 7.0, 25.0)
    ]
    settings = {
        "start": "first",
        "decision_interval": "1h",
        "venue": FEES,
        "slippage": 1e-3,
        "max_leverage": 100,
    }
    together = Simulator(markets, [table(m) for m in markets], SimulationConfig(**settings), n_accounts=12)
    together.reset(seed=5)
    targets = np.random.default_rng(0).uniform(0.0, 60.0, (29, 1))
    steps, _ = together.run(targets)
    path = together.accounts.path
    assert set(path) == {0, 1, 2}
    for k, one in enumerate(markets):
        alone = simulator(one, **settings)
        expected, _ = alone.run(targets)
        for i in np.flatnonzero(path == k):
            np.testing.assert_array_equal(steps[i], expected[0])
    assert together.slots == ("contract",)


def test_markets_that_cannot_be_paths_of_one_simulation_are_refused():
    one, pair = market([100.0] * 5), market(np.full((5, 2), 100.0))
    coin = market([100.0] * 5, [contract("Y", kind="inverse")])
    for other, said in ((pair, "one contract each"), (coin, "settles in one coin")):
        with pytest.raises(ValueError, match=said):
            Simulator([one, other], [table(one), table(other)])


def test_the_reward_is_the_growth_of_equity_and_that_of_an_account_that_stands_still_its_last():
    made = Simulator(
        market([100.0, 100.0, 103.0, 101.0, 99.0]), table(market([100.0, 100.0, 103.0, 101.0, 99.0])),
        SimulationConfig(venue=FREE, slippage=0.0, start="first", decision_interval="1h", max_leverage=10.0),
        n_accounts=2,
    )  # fmt: skip
    made.reset(seed=0)
    targets = np.array([[2.0], [0.0]])
    made.step(targets)
    before = made.accounts.equity.copy()
    first = made.step(targets).copy()
    assert first == pytest.approx(np.log(made.accounts.equity / before), abs=1e-15)
    assert first[0] > 0.0 == first[1]
    before = made.accounts.equity.copy()
    second = made.step(targets, active=np.array([False, True]))
    assert second[0] == first[0]
    assert second[1] == np.log(made.accounts.equity[1] / before[1])
    assert (second == made.steps.log_growth).all()
