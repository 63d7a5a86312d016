"""Controls change what they say they change, on numbers worked out by hand, and report it."""

import json

import numpy as np
import pytest
from tests.simulation.markets import contract, market, table

from gearing.policies import control_names, describe_control, make_control
from gearing.policies.controls import (
    AutoDeleverage,
    CoolDown,
    DailyLossLimit,
    DrawdownFloor,
    ExposureScale,
    FundingGuard,
    LiquidationGuard,
    NotionalCap,
    PortfolioLimit,
    RiskLimit,
    StopLoss,
    TakeProfit,
    TrailingStop,
)
from gearing.simulation import SimulationConfig, Simulator
from gearing.simulation.controls import Situation, apply_controls, no_guards

NEED_A_PARAMETER = {"stop_loss", "take_profit", "trailing_stop", "portfolio_limit"}
NOON = np.datetime64("2024-01-01T12:00", "ms")
HOUR = np.timedelta64(3_600_000, "ms")


def situation(n_slots=1, time=NOON, equity=10_000.0, liquidated=False, begins=False, share=None, **columns):
    columns.setdefault("effective_leverage", [0.0] * n_slots)
    return Situation(
        columns={name: np.array([values], np.float32) for name, values in columns.items()},
        time=np.array([time]),
        equity=np.array([equity]),
        liquidated=np.full((1, n_slots), liquidated),
        begins=np.array([begins]),
        margin_share=np.full(n_slots, share or 1.0 / n_slots),
    )


def controlled(control, targets, now, memory=None):
    """Target of the first account, whether the control acted, and its memory."""
    found, _, memories, acted = apply_controls([control], np.array([targets], float), now, [memory])
    return found[0].tolist(), bool(acted[0, 0]), memories[0]


def test_the_funding_guard_cuts_only_the_side_that_pays():
    control = FundingGuard(limit=0.5, keep=0.25)
    dear = situation(funding_carry_7d=[0.6])
    assert controlled(control, [4.0], dear)[:2] == ([1.0], True)
    assert controlled(control, [-4.0], dear)[:2] == ([-4.0], False)
    assert controlled(control, [4.0], situation(funding_carry_7d=[0.4]))[:2] == ([4.0], False)


def test_a_held_position_is_closed_by_a_funding_guard_that_keeps_nothing():
    dear = situation(funding_carry_7d=[0.6], effective_leverage=[3.0])
    assert controlled(FundingGuard(0.5), [np.nan], dear)[:2] == ([0.0], True)


def test_the_liquidation_guard_leaves_its_standard_deviations_of_room():
    control = LiquidationGuard(deviations=3.0, horizon="24h", maintenance=0.0)
    now = situation(realized_volatility_24h=[np.sqrt(365) * 0.05], liquidation_distance=[1.0])
    size = 1 - np.exp(-0.15)  # three days of 5 %
    assert controlled(control, [20.0], now)[0][0] == pytest.approx(1 / size, rel=1e-5)
    assert controlled(control, [-20.0], now)[0][0] == pytest.approx(-1 / (np.exp(0.15) - 1), rel=1e-5)
    assert controlled(control, [2.0], now)[1] is False


def test_a_held_position_that_came_near_its_liquidation_is_cut():
    control = LiquidationGuard(deviations=3.0, maintenance=0.0)
    calm = {"realized_volatility_24h": [np.sqrt(365) * 0.05], "effective_leverage": [9.0]}
    near = situation(liquidation_distance=[0.1], **calm)
    assert controlled(control, [np.nan], near)[0][0] == pytest.approx(1 / (1 - np.exp(-0.15)), rel=1e-5)


def limited(control, targets, **columns):
    return controlled(control, targets, situation(effective_leverage=[0.0] * len(targets), **columns))[0]


def test_the_risk_limit_puts_the_liquidation_at_the_distance_of_its_budget():
    control = RiskLimit(0.05, "7d", maintenance=0.0)
    assert control.required_columns == ("excursion_down_7d_5", "excursion_up_7d_5", "effective_leverage")
    distances = {"excursion_down_7d_5": [-np.log(0.8)], "excursion_up_7d_5": [np.log(1.25)]}
    # a long is liquidated by a fall of 20 %: 1 / 0.2; a short by a rise of 25 %
    assert limited(control, [20.0], **distances)[0] == pytest.approx(5.0, rel=1e-6)
    assert limited(control, [-20.0], **distances)[0] == pytest.approx(-4.0, rel=1e-6)
    assert limited(control, [3.0], **distances) == [3.0]
    # half of the margin is lost at half of that leverage
    half = RiskLimit(0.05, "7d", event="drawdown", drawdown=0.5, maintenance=0.0)
    assert limited(half, [20.0], **distances)[0] == pytest.approx(2.5, rel=1e-6)


def test_a_side_without_a_promise_is_closed():
    assert limited(RiskLimit(0.05, "7d", sides="long"), [-2.0], excursion_down_7d_5=[0.2]) == [0.0]
    with pytest.raises(ValueError, match=r"RiskLimit: a short over 30d at 0\.01 cannot be promised"):
        RiskLimit(0.01, "30d")
    assert RiskLimit(0.01, "30d", sides="long").required_columns[0] == "excursion_down_30d_1"


def test_a_budget_of_the_other_margin_mode_is_refused():
    with pytest.raises(ValueError, match="Give both the same"):
        SimulationConfig(controls=[RiskLimit(0.05, "7d", margin_mode="cross")])
    SimulationConfig(margin_mode="cross", controls=[RiskLimit(0.05, "7d", margin_mode="cross")])


def test_a_book_on_cross_margin_is_scaled_as_one():
    control = RiskLimit(
        0.05,
        "7d",
        margin_mode="cross",
        maintenance=0.0,
        correlation_long=0.5,
        correlation_short=1.0,
        hedge=0.5,
    )
    columns = {"excursion_down_7d_5": [-np.log(0.8)] * 2, "excursion_up_7d_5": [np.log(1.25)] * 2}
    now = situation(2, effective_leverage=[0.0, 0.0], **columns)
    share = float(now.margin_share[0])
    # two longs of notional 4: losses of 0.8 each, joined sqrt(0.5 x 1.6^2 + 0.5 x 2 x 0.8^2) = 1.386 of the equity
    allowed = controlled(control, [4.0 / share, 4.0 / share], now)[0]
    np.testing.assert_allclose(allowed, [4.0 / share / np.sqrt(1.92)] * 2, rtol=1e-6)
    # a short of 3.2 loses 0.8, too. In common sqrt(0.5) 0.8 and 0.8, half of which cancels: 0.32 + 0.64 - 0.453; the
    # long's own 0.32 is not hedged: sqrt(0.508 + 0.32) = 0.910, so the book may be held
    assert controlled(control, [4.0 / share, -3.2 / share], now)[1] is False


def test_auto_deleveraging_halves_what_is_held_once_margin_is_strained():
    strained = situation(margin_ratio=[0.6], effective_leverage=[8.0])
    assert controlled(AutoDeleverage(0.5, 0.5), [10.0], strained)[:2] == ([4.0], True)
    assert controlled(AutoDeleverage(0.5, 0.5), [3.0], strained)[:2] == ([3.0], False)
    calm = situation(margin_ratio=[0.4], effective_leverage=[8.0])
    assert controlled(AutoDeleverage(0.5, 0.5), [10.0], calm)[1] is False


@pytest.mark.parametrize(
    ("equity", "expected"), [(1_000, 20.0), (4_000, 12.5), (50_000, 5.0), (400_000, 2.5)]
)
def test_the_notional_cap_follows_its_table(equity, expected):
    # 50,000 / 4,000 = 12.5 under the first row beats the second row's 10
    assert controlled(NotionalCap(), [25.0], situation(equity=equity))[0] == [expected]


def test_the_daily_loss_limit_holds_until_midnight():
    control, memory, seen = DailyLossLimit(0.05), None, []
    for hours, equity in [(0, 100.0), (1, 94.0), (2, 99.0), (12, 99.0), (13, 96.0)]:
        now = situation(time=NOON + hours * HOUR, equity=equity)
        target, _, memory = controlled(control, [3.0], now, memory)
        seen.append(target[0])
    assert seen == [3.0, 0.0, 0.0, 3.0, 3.0]  # 94 is too much; midnight begins anew, from 99


def test_a_new_episode_forgets_the_loss():
    control = DailyLossLimit(0.05)
    _, _, memory = controlled(control, [3.0], situation(equity=100.0))
    assert controlled(control, [3.0], situation(equity=90.0, begins=True), memory)[0] == [3.0]


def test_the_cool_down_pauses_after_a_liquidation():
    control, memory, seen = CoolDown("24h"), None, []
    for hours, hit in [(0, False), (24, True), (36, False), (48, False)]:
        now = situation(n_slots=2, time=NOON + hours * HOUR, liquidated=hit)
        target, _, memory = controlled(control, [3.0, -1.0], now, memory)
        seen.append(target)
    assert seen == [[3.0, -1.0], [0.0, 0.0], [0.0, 0.0], [3.0, -1.0]]


def test_portfolio_limits_scale_everything_together():
    now = situation(n_slots=2, realized_volatility_7d=[1.0, 1.0])
    assert controlled(PortfolioLimit(gross=2.0), [4.0, -4.0], now)[0] == [2.0, -2.0]  # gross (4 + 4) / 2 = 4
    assert controlled(PortfolioLimit(net=1.0), [4.0, -4.0], now)[1] is False
    assert controlled(PortfolioLimit(net=1.0), [4.0, 0.0], now)[0] == [2.0, 0.0]


def test_a_volatility_limit_knows_that_longs_and_shorts_hedge():
    now = situation(n_slots=2, realized_volatility_7d=[1.0, 1.0])
    control = PortfolioLimit(volatility=0.5, correlation=0.8)
    same, opposite = (controlled(control, [2.0, other], now)[0][0] for other in (2.0, -2.0))
    # exposures 1 and 1: sqrt(0.2 x 2 + 0.8 x 4) = 1.897; 1 and -1: sqrt(0.2 x 2) = 0.632
    assert same == pytest.approx(2.0 * 0.5 / np.sqrt(3.6), rel=1e-6)
    assert opposite == pytest.approx(2.0 * 0.5 / np.sqrt(0.4), rel=1e-6)


def test_resting_orders_take_the_nearer_distance_and_change_no_target():
    controls = [
        StopLoss(distance=0.10),
        StopLoss(margin=0.5),
        TakeProfit(distance=0.2),
        TrailingStop(atr=3.0),
    ]
    now = situation(atr_24h=[0.01])
    targets, guards, _, acted = apply_controls(controls, np.array([[10.0]]), now, [None] * 4)
    assert guards.stop[0, 0] == pytest.approx(0.05)  # half the margin of 10x
    assert guards.take_profit[0, 0] == 0.2
    assert guards.trailing[0, 0] == pytest.approx(0.03)
    assert targets.tolist() == [[10.0]]
    assert not acted.any()


def test_controls_pass_on_what_the_one_before_decided():
    now = situation(margin_ratio=[0.0], funding_carry_7d=[0.9], liquidated=True)
    targets, _, _, acted = apply_controls(
        [FundingGuard(0.5, keep=0.5), CoolDown("24h")], np.array([[4.0]]), now, [None, None]
    )
    assert targets.tolist() == [[0.0]]
    assert acted.tolist() == [[True, True]]


@pytest.mark.parametrize("name", sorted(set(control_names()) - NEED_A_PARAMETER))
def test_controls_are_made_by_name_and_describe_themselves(name):
    made = make_control(name)
    assert make_control(json.loads(json.dumps(describe_control(made)))) == made


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"control": "stop_loss"}, "exactly one"),
        ({"control": "stop_loss", "distance": 0.1, "atr": 2.0}, "exactly one"),
        ({"control": "portfolio_limit"}, "at least one"),
        ({"control": "daily_loss_limit", "limit": 5.0}, "between 0 and 1"),
        ({"control": "notional_cap", "leverage": (1, 2, 3)}, "descending"),
        ({"control": "funding_guard", "keep": 1.0}, r"\[0, 1\)"),
        ("stop_los", "Did you mean 'stop_loss'"),
    ],
)
def test_impossible_controls_are_refused(spec, message):
    with pytest.raises(ValueError, match=message):
        make_control(spec)


# --- inside the simulator ------------------------------------------------------------------------------------------


def simulator(closes, *controls, n_accounts=1, **settings):
    path = market(closes, contracts=[contract(rate=0.005)])
    config = SimulationConfig(
        controls=controls, decision_interval="1h", start="first", slippage=0.0, **settings
    )
    made = Simulator(path, table(path), config, n_accounts)
    made.reset(seed=0)
    return made


def test_a_stop_closes_inside_the_bar_where_it_rests():
    sim = simulator([100.0, 100.0, 100.0, 80.0, 80.0], StopLoss(distance=0.02))
    for _ in range(3):
        sim.step(np.array([[5.0]]))
    assert sim.ledgers.stops.sum() == 1
    # 5x falls by 2 %: about a tenth of equity, and fees; 20 % would have liquidated it
    assert 8_900 < sim.accounts.equity[0] < 9_050


def test_the_cool_down_sees_the_simulators_liquidations():
    sim = simulator([100.0, 100.0, 100.0, 80.0, 80.0, 80.0, 80.0], CoolDown("2h"), margin_share=0.5)
    seen = []
    for _ in range(5):
        sim.step(np.array([[10.0]]))
        seen.append(
            (
                int(sim.ledgers.liquidations.sum()),
                bool(sim.acted[0, 0]),
                float(sim.positions.quantity[0, 0]) > 0,
            )
        )
    assert (1, False, False) in seen
    after = seen.index((1, False, False))
    assert seen[after + 1 :][:2] == [(0, True, False), (0, True, False)]


def test_accounts_that_do_not_step_keep_what_their_controls_remember():
    sim = simulator([100.0] * 8, DailyLossLimit(0.05), n_accounts=2)
    sim.step(np.array([[1.0], [1.0]]))
    sim.accounts.equity[:] = 9_000.0
    sim.step(np.array([[1.0], [1.0]]), active=np.array([True, False]))
    assert sim.acted[:, 0].tolist() == [True, False]
    sim.step(np.array([[1.0], [1.0]]), active=np.array([False, True]))
    assert sim.acted[1, 0]


def test_a_control_without_its_column_is_refused_before_anything_runs():
    with pytest.raises(ValueError, match="funding_carry_7d"):
        simulator([100.0] * 5, FundingGuard())


def test_precomputed_targets_refuse_controls():
    sim = simulator([100.0] * 5, CoolDown())
    with pytest.raises(ValueError, match="precomputed"):
        sim.run(np.zeros((2, 1)))


def test_no_guards_is_a_row_of_nothing():
    assert np.isnan(no_guards((2, 1)).stop).all()


def test_the_drawdown_floor_takes_exposure_away_in_proportion_to_the_drawdown():
    floor = DrawdownFloor(limit=0.4)
    # (0.4 - drawdown) / 0.4
    for drawdown, left in ((0.0, 1.0), (0.1, 0.75), (0.3, 0.25), (0.4, 0.0), (0.6, 0.0)):
        found, _, _ = controlled(floor, [4.0, -2.0], situation(2, drawdown=[drawdown]))
        assert found == pytest.approx([4.0 * left, -2.0 * left], abs=1e-5)


def test_the_peak_of_a_drawdown_floor_can_be_that_of_its_window():
    floor, memory = DrawdownFloor(limit=0.4, window="3d"), None
    # equity by day; highest of three days; (0.4 - drawdown) / 0.4
    steps = ((100.0, 100.0), (80.0, 100.0), (90.0, 100.0), (90.0, 90.0), (72.0, 90.0))
    for day, (equity, peak) in enumerate(steps):
        now = situation(time=NOON + day * 24 * HOUR, equity=equity, begins=day == 0)
        found, _, memory = controlled(floor, [4.0], now, memory)
        assert found[0] == pytest.approx(4.0 * (0.4 - (1.0 - equity / peak)) / 0.4)
    again = situation(time=NOON + 5 * 24 * HOUR, equity=10.0, begins=True)  # the account begins anew
    assert controlled(floor, [4.0], again, memory)[0] == [4.0]
    with pytest.raises(ValueError, match="whole days"):
        DrawdownFloor(window="36h")


def test_the_drawdown_floor_leaves_held_positions_until_it_is_reached():
    floor = DrawdownFloor(limit=0.4)
    assert np.isnan(controlled(floor, [np.nan], situation(drawdown=[0.3]))[0]).all()
    assert controlled(floor, [np.nan], situation(drawdown=[0.5]))[0] == [0.0]


def test_the_exposure_scale_in_force_multiplies_targets():
    dated = ExposureScale((0.5, 2.0), ("2023-01-01", "2024-01-01T12:00"))
    for time, factor in (("2022-12-31", 0.0), ("2023-01-01", 0.5), ("2024-01-01T11:00", 0.5), (NOON, 2.0)):
        now = situation(2, time=np.datetime64(time, "ms"))
        assert controlled(dated, [3.0, -1.0], now)[0] == [3.0 * factor, -factor]
    assert controlled(ExposureScale(1.5, max_leverage=4.0), [3.0, -1.0], situation(2))[0] == [4.0, -1.5]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"factor": -1.0}, "0 or more"),
        ({"factor": (1.0, 2.0)}, "2 factors for 0 times"),
        ({"factor": (1.0, 2.0), "since": ("2024-01-01", "2023-01-01")}, "ascend"),
        ({"since": ("someday",)}, "someday"),
    ],
)
def test_an_exposure_scale_that_makes_no_sense_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        ExposureScale(**given)
