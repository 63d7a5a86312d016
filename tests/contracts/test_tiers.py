import math
from datetime import date

import numpy as np
import pytest
from hypothesis import given, strategies as st

from gearing.contracts import Contract, MarginTier, TierSchedule, shipped_schedules, shipped_symbols
from gearing.contracts.shipped import schedule_from_rows

THREE = TierSchedule.from_rates([0, 50_000, 250_000], [0.004, 0.005, 0.01], [125, 100, 50], cap=1_000_000)


def test_amounts_are_the_running_sum_of_floor_times_rate_step():
    # 50 000 x 0.1 % = 50; 50 + 250 000 x 0.5 % = 1 300
    assert [tier.amount for tier in THREE.tiers] == [0.0, 50.0, 1300.0]


def test_caps_adjoin_the_next_floor():
    assert [(tier.floor, tier.cap) for tier in THREE.tiers] == [
        (0, 50_000),
        (50_000, 250_000),
        (250_000, 1_000_000),
    ]


@given(
    steps=st.lists(st.tuples(st.floats(1.0, 1e6), st.floats(1e-4, 0.02)), min_size=1, max_size=8),
)
def test_maintenance_margin_is_continuous_at_every_floor(steps):
    floors = np.concatenate([[0.0], np.cumsum([size for size, _ in steps])])
    rates = 0.004 + np.concatenate([[0.0], np.cumsum([step for _, step in steps])])
    schedule = TierSchedule.from_rates(floors, rates, [2.0] * floors.size)
    for below, above in zip(schedule.tiers, schedule.tiers[1:], strict=False):
        left = above.floor * below.rate - below.amount
        right = above.floor * above.rate - above.amount
        assert right == pytest.approx(left, rel=1e-9, abs=1e-6)


def test_a_whole_position_schedule_has_no_amounts():
    schedule = TierSchedule.from_rates([0, 100], [0.01, 0.02], [50, 25], marginal=False)
    assert [tier.amount for tier in schedule.tiers] == [0.0, 0.0]


@pytest.mark.parametrize(
    ("tiers", "rule"),
    [
        ((MarginTier(10, 20, 0.01, 0, 50),), "must start at 0"),
        ((MarginTier(0, 10, 0.01, 0, 50), MarginTier(20, 30, 0.02, 0.2, 25)), "must adjoin"),
        ((MarginTier(0, 10, 0.02, 0, 25), MarginTier(10, 30, 0.01, 0, 25)), "rates must ascend"),
        ((MarginTier(0, 10, 0.01, 0, 25), MarginTier(10, 30, 0.02, 0.1, 50)), "leverage must not rise"),
        ((MarginTier(0, 10, 0.01, 0, 50), MarginTier(10, 30, 0.02, 5.0, 25)), "should be 0.1"),
        ((), "at least one tier"),
    ],
)
def test_a_broken_schedule_is_refused_with_its_rule(tiers, rule):
    with pytest.raises(ValueError, match=rule):
        TierSchedule(tiers)


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ((0, 10, 0.4, 0, 50), "exceeds 1"),
        ((0, 10, 40, 0, 1), "not a percentage"),
        ((10, 10, 0.01, 0, 50), "floor < cap"),
        ((0, 10, float("nan"), 0, 50), "fraction"),
        ((0, 10, 0.01, 0, 0.5), "at least 1"),
        ((0, 10, 0.01, -1, 50), "not negative"),
    ],
)
def test_a_broken_tier_is_refused_with_its_rule(values, rule):
    with pytest.raises(ValueError, match=rule):
        MarginTier(*values)


def test_records_carry_the_same_numbers():
    records = THREE.to_records()
    assert records.rate.tolist() == [0.004, 0.005, 0.01]
    assert records.max_leverage.tolist() == [125, 100, 50]


def test_shipped_tiers_are_dated_and_start_with_the_known_leverage():
    schedules = shipped_schedules("BTCUSDT")
    assert (schedules[0].as_of, schedules[-1].as_of) == (date(2022, 2, 12), date(2026, 9, 29))
    assert (schedules[0].tiers[0].max_leverage, schedules[-1].tiers[0].max_leverage) == (125, 150)


def test_every_shipped_schedule_is_valid():
    # building them runs every check; ten copies of BTC, DOGE, ETH and SOL, two of DENT and GAS
    counts = {symbol: len(shipped_schedules(symbol)) for symbol in shipped_symbols()}
    assert counts == {
        "BTCUSDT": 10,
        "DENTUSDT": 2,
        "DOGEUSDT": 10,
        "ETHUSDT": 10,
        "GASUSDT": 2,
        "SOLUSDT": 10,
    }


def test_the_nearest_earlier_copy_is_in_force():
    contract = Contract("SOLUSDT", schedules=shipped_schedules("SOLUSDT"))
    assert contract.schedule_at("2024-07-03").as_of == date(2024, 2, 3)
    assert contract.schedule_at("2024-12-25").as_of == date(2024, 7, 4)


ROW = {
    "min_notional": 0, "max_notional": None, "max_leverage": 50,
    "maintenance_margin_rate": 0.01, "maintenance_amount": 0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (False, "b.json, X: margin tiers are a list of objects"),
        ([[0, 1]], "b.json, X: margin tiers are a list of objects"),
        ([], "b.json, X: a tier schedule needs at least one tier"),
        ([{**ROW, "max_leverage": True}], "b.json, X, tier 1: max_leverage is True; it must be a number"),
        ([{**ROW, "max_leverage": "50"}], "max_leverage is '50'"),
        ([{**ROW, "min_notional": None}], "min_notional is None"),
        ([{"min_notional": 0}], "tier 1: has no 'max_notional'"),
        ([{**ROW, "maintenance_margin_rate": 40}], "b.json, X: tier from 0.0: rate 40"),
    ],
)
def test_exported_brackets_of_another_form_are_refused_with_their_place(rows, words):
    with pytest.raises(ValueError, match=words):
        schedule_from_rows(rows, None, "b.json, X")


def test_exported_brackets_may_be_unbounded():
    assert schedule_from_rows([ROW], None, "b.json").tiers[0].cap == math.inf


def test_a_symbol_without_shipped_tiers_names_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'BTCUSDT'"):
        shipped_schedules("BTCUSD")
