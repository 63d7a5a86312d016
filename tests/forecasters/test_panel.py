"""Forecasts of contracts by models fitted on other contracts."""

import numpy as np
import pytest
from tests.features.markets import random_market

from gearing.features.leakage import rewrite_future
from gearing.forecasters import Schedule
from gearing.forecasters.panel import Panel, panel_forecast
from gearing.forecasters.register import PANEL_COLUMNS
from gearing.forecasters.scoring.scores import qlike

DAYS = 200
SCHEDULE = Schedule(first_train="60d", refit="30d")


def one(seed, days=DAYS, **options):
    return random_market(24 * days, n_contracts=1, seed=seed, **options).replace(implied_volatility=None)


@pytest.fixture(scope="module")
def markets():
    return {f"C{k}": one(k) for k in range(4)}


@pytest.fixture(scope="module")
def panel(markets):
    return Panel.of(markets)


@pytest.fixture(scope="module")
def made(panel):
    return panel_forecast(panel, "C0", schedule=SCHEDULE)


def test_rows_are_complete_and_wait_for_ten_days(panel):
    rows = panel.rows()
    assert rows.columns == PANEL_COLUMNS
    assert np.isfinite(rows.X).all()
    assert (rows.known_at.astype("datetime64[h]").astype(int) % 24 == 0).all()
    first = panel.moments[0] + np.timedelta64(10, "D")  # 24 bars, of which the first has no return
    assert rows.known_at.min() == first
    assert set(rows.contract) == {0, 1, 2, 3}


def test_forecasts_are_out_of_sample_and_beat_the_last_month(panel, made):
    assert (made.fitted_until <= made.rows.known_at).all()
    assert made.rows.known_at.min() >= panel.moments[0] + np.timedelta64(60, "D")
    known = made.rows.trainable
    y, month = made.rows.y[known], np.exp(made.rows.X[known, 1])
    assert qlike(y, made.value[known]).mean() < 0.8 * qlike(y, month).mean()


def test_nothing_knows_the_future_of_any_contract(markets, made):
    row = 24 * 150 + 7
    changed = {name: rewrite_future(market, row, seed=k) for k, (name, market) in enumerate(markets.items())}
    again = panel_forecast(Panel.of(changed), "C0", schedule=SCHEDULE)
    cut = markets["C0"].close_time[row]
    before, after = made.rows.known_at <= cut, again.rows.known_at <= cut
    assert before.sum() > 60
    assert made.value[before].tobytes() == again.value[after].tobytes()
    assert not np.array_equal(made.value[~before], again.value[~after])


def test_the_model_of_a_contract_never_sees_it(markets, made):
    other = {**markets, "C0": one(99)}
    again = panel_forecast(Panel.of(other), "C0", schedule=SCHEDULE)
    assert again.last_model.model.coef_.tobytes() == made.last_model.model.coef_.tobytes()
    assert again.last_model.model.intercept_ == made.last_model.model.intercept_
    assert not np.array_equal(again.value, made.value)


def test_own_rows_join_where_they_are_given_a_weight(panel, made):
    home = panel_forecast(panel, "C0", schedule=SCHEDULE, own_weight=10.0)
    assert not np.allclose(home.last_model.model.coef_, made.last_model.model.coef_)


def test_a_contract_of_a_few_weeks_is_forecast_from_its_tenth_day(markets):
    young = one(7, days=30, start="2023-06-01T00:00")
    made = panel_forecast(Panel.of({**markets, "NEW": young}), "NEW", schedule=SCHEDULE)
    # 30 days, of which the first ten have no row; the last row's target is still to come.
    assert len(made.value) == 20
    assert np.isfinite(made.value).all()
    assert made.rows.bar_index[0] == 24 * 11 - 1


def test_a_pool_of_one_and_missing_funding_are_enough(markets):
    bare = {name: m.replace(settlements=m.settlements[:0]) for name, m in list(markets.items())[:2]}
    made = panel_forecast(Panel.of(bare), "C0", ["C1"], SCHEDULE)
    assert np.isfinite(made.value).all()


def test_a_contract_that_ends_gives_no_rows_afterwards(markets):
    short = markets["C1"].rows(0, 24 * 100)
    panel = Panel.of({**markets, "C1": short})
    rows = panel.rows()
    assert rows.known_at[rows.contract == 1].max() == short.close_time[-1]


@pytest.mark.parametrize("pool", [[], ["C0"]])
def test_a_pool_without_another_contract_is_refused(panel, pool):
    with pytest.raises(ValueError, match="nothing to train on"):
        panel_forecast(panel, "C0", pool)


def test_a_pool_that_is_shorter_than_its_first_window_is_named(markets):
    short = {name: m.rows(m.n_bars - 24 * 30, m.n_bars) if name == "C1" else m for name, m in markets.items()}
    with pytest.raises(
        ValueError, match=r"the pool of C0 \(C1\) begins on .* window of 180d. Name contracts"
    ):
        panel_forecast(Panel.of(short), "C0", ["C1"])


def test_an_unknown_contract_is_named(panel):
    with pytest.raises(ValueError, match=r"no contract 'c1'\. Known: C0, C1"):
        panel_forecast(panel, "C0", ["c1"])


def test_a_panel_needs_contracts():
    with pytest.raises(ValueError, match="at least one contract"):
        Panel.of({})


def test_a_market_of_two_contracts_is_refused():
    with pytest.raises(ValueError, match="one contract each"):
        Panel.of({"BOTH": random_market(24 * 20)})
