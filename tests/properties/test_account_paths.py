"""Identities of whole accounts on random paths: numbers 1 to 3, 9, 14, 17 and 20 to 22 of the invariants."""

from __future__ import annotations

import copy
import math
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, strategies as st
from tests.exchange.oracle import Row
from tests.exchange.scenarios import MONEY, WALLET, Arrays, Scenario, run_kernel

import gearing
from gearing.exchange.rules import liquidation_price, maintenance_margin

seeds = st.integers(20_000, 2**31)


def one_position(seed: int, **rules: object) -> Scenario:
    """A scenario of one linear contract, one decision, long or short, without stops."""
    scenario = Scenario(seed)
    while scenario.inverse or scenario.n_contracts > 1 or scenario.hedge or scenario.rules.close_only:
        seed += 7_919
        scenario = Scenario(seed)
    plain = {
        "cross": False, "last_liquidates": False, "at_entry": False, "closing_fee": Decimal(0), "step_down": 0,
        "rebalance": "every_decision", "deleveraging_move": Decimal(0), "close_only": False, "fifth_first": False,
    }  # fmt: skip
    for name, value in {**plain, **rules}.items():
        setattr(scenario.rules, name, value)
    scenario.with_guards = False
    first = scenario.targets[0][0]
    scenario.targets = [[first or Decimal(10)], *([None] for _ in scenario.targets[1:])]
    return scenario


def times_of_liquidation(scenario: Scenario) -> list[int]:
    states = run_kernel(scenario)
    return [d for d, state in enumerate(states) if sum(state["liquidations"])]


@given(seeds)
def test_01_the_ledger_explains_every_change_of_equity(seed):
    before = float(WALLET)
    for state in run_kernel(Scenario(seed)):
        explained = sum(sum(state[name]) for name in MONEY if name != "turnover")
        scale = max(1.0, before, *(abs(x) for name in MONEY for x in state[name]))
        assert state["equity"][0] - before == pytest.approx(explained, abs=1e-9 * scale)
        before = state["equity"][0]


@given(seeds)
def test_02_equity_is_never_negative_and_an_isolated_loss_is_bounded_by_what_was_posted(seed):
    scenario = Scenario(seed)
    for state in run_kernel(scenario):
        assert state["equity"][0] >= -1e-9 * float(WALLET)
    lone = one_position(seed)
    lone.settlements = [[] for _ in lone.settlements]
    lone.targets = lone.targets[:1] + [[None]] * (len(lone.targets) - 1)
    posted = float(lone.terms[0].margin_share) * float(WALLET)
    for state in run_kernel(lone):
        assert state["equity"][0] >= float(WALLET) - posted - 1e-6


@given(seeds)
def test_02_what_becomes_of_one_isolated_position_leaves_the_others_untouched(seed):
    """Two contracts opened once: the second ends the same whether or not the first meets a crash."""
    scenario = Scenario(seed)
    while scenario.cross or scenario.n_contracts < 2 or scenario.hedge or scenario.rules.close_only:
        seed += 7_919
        scenario = Scenario(seed)
    scenario.rules.free_balance_pays_funding = (
        False  # else what the first loses is missing from the second's funding
    )
    scenario.rules.step_down, scenario.rules.fifth_first = 0, False
    opened = [t if t and abs(t) >= 2 else Decimal(10) for t in scenario.targets[0]]
    scenario.targets = [opened, *([None] * scenario.n_slots for _ in scenario.targets[1:])]
    crashed, at = (
        copy.deepcopy(scenario),
        scenario.n_rows,
    )  # after the first interval, in which both are opened
    for row in crashed.rows[at:]:
        factor = Decimal("0.3") if scenario.targets[0][0] > 0 else Decimal(3)
        x = row[0]
        row[0] = Row(
            tuple(p * factor for p in x.last),
            tuple(p * factor for p in x.mark),
            x.slippage,
            x.impact,
            x.tiers,
        )
    calm, after = run_kernel(scenario), run_kernel(crashed)
    if len(after) > 1 and calm[0]["quantity"][0]:
        assert after[1]["quantity"][0] == 0.0
    for a, b in zip(calm, after, strict=False):
        for name in (
            "quantity",
            "entry_price",
            "margin",
            "price_pnl",
            "fees",
            "funding",
            "liquidation",
            "stops",
        ):
            assert b[name][1:] == pytest.approx(a[name][1:], rel=1e-9, abs=1e-9)


@given(seeds)
def test_03_liquidated_exactly_when_a_mark_of_the_path_reaches_the_liquidation_price(seed):
    scenario = one_position(seed)
    scenario.settlements = [[] for _ in scenario.settlements]
    arrays = Arrays(scenario)
    flat = False
    for d in range(scenario.n_decisions):
        arrays.step(d)
        position, ledger = arrays.positions[0, 0], arrays.ledgers[0, 0]
        rows = arrays.rows[d * scenario.n_rows : (d + 1) * scenario.n_rows, 0]
        if ledger.liquidations:
            price, mark = ledger.liquidation_price, ledger.execution_price
            hits = (rows.mark_low <= price * (1 + 1e-12)) & (rows.mark_high >= price * (1 - 1e-12))
            beyond = (rows.mark_low <= mark * (1 + 1e-12)) & (rows.mark_high >= mark * (1 - 1e-12))
            assert hits.any() or beyond.any()
            flat = True
        elif position.quantity != 0.0 and not flat:
            low_or_high = rows.mark_low.min() if position.quantity > 0 else rows.mark_high.max()
            profit = position.quantity * (low_or_high - position.entry_price)
            needed = maintenance_margin(abs(position.quantity) * low_or_high, arrays.tiers)
            assert position.margin + profit > needed - 1e-7


@given(seeds)
def test_09_one_cross_position_is_an_isolated_one_backed_by_the_whole_wallet(seed):
    isolated, cross = one_position(seed), one_position(seed, cross=True)
    for scenario in (isolated, cross):
        scenario.terms[0].margin_share = Decimal(1)
        scenario.rules.leverage_change = "free"
        # Where the venue pays funding from the free balance, receipts go there too, which backs a cross position only.
        scenario.rules.free_balance_pays_funding = False
    lone, backed = run_kernel(isolated), run_kernel(cross)
    # A fill better than the mark leaves its gain in the free balance: then not all of the wallet is assigned.
    left = lone[0]["wallet"][0] - (0.0 if lone[0]["liquidations"][0] else lone[0]["margin"][0])
    assume(left <= 1e-9 * float(WALLET))
    for a, b in zip(lone, backed, strict=True):
        for name in (
            "equity",
            "quantity",
            "entry_price",
            "liquidations",
            "fees",
            "funding",
            "execution_price",
        ):
            assert b[name] == pytest.approx(a[name], rel=1e-9, abs=1e-9)


@given(seeds)
def test_11_what_a_long_pays_for_funding_its_mirrored_short_receives(seed):
    long, short = one_position(seed), one_position(seed)
    for scenario, side in ((long, 1), (short, -1)):
        scenario.terms[0].tick = Decimal(0)
        for row in scenario.rows:
            x = row[0]
            row[0] = Row(x.mark, x.mark, Decimal(0), Decimal(0), x.tiers)
        scenario.targets[0] = [side * min(abs(scenario.targets[0][0]), Decimal(8))]
    for a, b in zip(run_kernel(long), run_kernel(short), strict=False):
        if a["liquidations"][0] or b["liquidations"][0] or a["quantity"][0] != -b["quantity"][0]:
            return  # from a liquidation on there is no mirror
        assert a["funding"][0] == -b["funding"][0]


@given(seeds, st.floats(2.0, 60.0), st.floats(2.0, 60.0))
def test_09_the_cross_liquidation_price_does_not_depend_on_the_setting(seed, one, other):
    found = []
    for setting in (one, other):
        scenario = one_position(seed, cross=True, leverage_change="free")
        arrays = Arrays(scenario)
        arrays.step(0)
        arrays.positions[0, 0].leverage = setting
        position, account = arrays.positions[0, 0], arrays.accounts[0]
        if position.quantity == 0.0:
            return
        found.append(
            liquidation_price(
                position.quantity, position.entry_price, account.wallet_balance, arrays.tiers, False
            )
        )
    assert found[0] == found[1] or all(math.isnan(x) for x in found)


def finer(row: Row, rng: np.random.Generator) -> list[Row]:
    """Three pieces of a row whose joined extremes, open and close are its own."""
    open_, high, low, close = row.mark
    turns = [high, low] if rng.random() < 0.5 else [low, high]
    pieces = []
    for start, end in ((open_, turns[0]), (turns[0], turns[1]), (turns[1], close)):
        prices = (start, max(start, end), min(start, end), end)
        pieces.append(Row(prices, prices, row.slippage, row.impact, row.tiers))
    return pieces


@given(seeds)
def test_14_adverse_extremes_liquidate_no_later_than_a_finer_path_and_that_no_later_than_closes(seed):
    rng = np.random.default_rng(seed)
    coarse = one_position(seed)
    for row in coarse.rows:
        # Same series for both, so that only the order within the row differs.
        row[0] = Row(row[0].mark, row[0].mark, row[0].slippage, row[0].impact, row[0].tiers)
    fine, closes = copy.deepcopy(coarse), copy.deepcopy(coarse)
    closes.rules.close_only = True
    fine.rows = [[piece] for row in coarse.rows for piece in finer(row[0], rng)]
    fine.settlements = [part for cash in coarse.settlements for part in (cash, [], [])]
    fine.n_rows = 3 * coarse.n_rows
    when = [(*times_of_liquidation(s), math.inf)[0] for s in (coarse, fine, closes)]
    assert when[0] <= when[1] <= when[2]


@given(seeds)
def test_17_permuting_independent_isolated_contracts_permutes_the_results(seed):
    scenario = Scenario(seed)
    while scenario.cross or scenario.n_contracts < 2 or scenario.hedge:
        seed += 7_919
        scenario = Scenario(seed)
    scenario.targets = scenario.targets[:1] + [[None] * scenario.n_slots] * (len(scenario.targets) - 1)
    n = scenario.n_contracts
    turned = copy.deepcopy(scenario)
    turned.terms, turned.schedules = turned.terms[::-1], turned.schedules[::-1]
    turned.first_marks = turned.first_marks[::-1]
    turned.rows = [row[::-1] for row in turned.rows]
    turned.targets = [t[::-1] for t in turned.targets]
    turned.guards = [g[::-1] for g in turned.guards]
    for cash in turned.settlements:
        for s in cash:
            s.contract = n - 1 - s.contract
    for a, b in zip(run_kernel(scenario), run_kernel(turned), strict=True):
        for name in ("quantity", "margin", "liquidations", "price_pnl", "fees"):
            assert b[name][::-1] == pytest.approx(a[name], rel=1e-9, abs=1e-7)


@given(seeds, st.data())
def test_20_nothing_later_than_a_row_changes_what_happened_up_to_it(seed, data):
    scenario = Scenario(seed)
    changed = copy.deepcopy(scenario)
    cut = data.draw(st.integers(1, scenario.n_decisions - 1)) if scenario.n_decisions > 1 else 1
    for row in changed.rows[cut * scenario.n_rows :]:
        for j, x in enumerate(row):
            row[j] = Row(
                tuple(p * 3 for p in x.last), tuple(p * 3 for p in x.mark), x.slippage, x.impact, x.tiers
            )
    assert run_kernel(scenario)[:cut] == run_kernel(changed)[:cut]


@given(seeds)
def test_20_the_close_of_a_bar_does_not_change_its_fill(seed):
    entries = []
    for factor in (Decimal(1), Decimal("1.001")):
        scenario = one_position(seed)
        scenario.n_decisions, scenario.n_rows, scenario.rows = 1, 1, scenario.rows[:1]
        x = scenario.rows[0][0]
        calm = [(o, max(o, c * factor), min(o, c * factor), c * factor) for o, _, _, c in (x.last, x.mark)]
        scenario.rows[0][0] = Row(calm[0], calm[1], x.slippage, x.impact, x.tiers)
        arrays = Arrays(scenario)
        arrays.config[0].close_only = True
        arrays.step(0)
        entries.append((arrays.ledgers[0, 0].fees, arrays.ledgers[0, 0].fills))
    assert entries[0] == entries[1]


@given(seeds)
def test_21_a_replay_is_the_same_to_the_last_bit(seed):
    assert run_kernel(Scenario(seed)) == run_kernel(Scenario(seed))


@given(
    st.integers(0, 47),
    st.sampled_from(["open", "high", "low", "close"]),
    st.sampled_from([math.nan, 0.0, -1.0]),
)
def test_22_prices_that_are_not_positive_are_refused(row, column, value):
    times = pd.date_range("2024-01-01", periods=48, freq="h", tz="UTC")
    bars = pd.DataFrame(
        {"open_time": times, "open": 100.0, "high": 101.0, "low": 99.0, "close": 100.0, "volume": 1.0}
    )
    funding = pd.DataFrame({"time": times[::8], "rate": 1e-4})
    broken = bars.copy()
    broken.loc[row, column] = value
    with pytest.raises(ValueError, match=column):
        gearing.MarketData.from_frames(broken, mark=bars, funding=funding, contract="BTCUSDT")
    with pytest.raises(ValueError, match=column):
        gearing.MarketData.from_frames(bars, mark=broken, funding=funding, contract="BTCUSDT")
