"""Books on a drawdown budget: what is fitted when, what is measured, and what a study of them leaves."""

import json

import numpy as np
import pytest
from tests.studies.portfolio.small import SMALL, played

import gearing
from gearing.evaluation import scale_to_budget
from gearing.evaluation.risk.drawdown_budget import realised_drawdown
from gearing.policies.controls import DrawdownFloor, ExposureScale
from gearing.policies.rules import BookInverseVolatility
from gearing.studies import load_config
from gearing.studies.portfolio.judging import CHOSEN, book_rows, chosen_by_the_past, measured
from gearing.studies.portfolio.play import daily_returns_of, fitted_scales
from gearing.studies.portfolio.variants import ALL
from gearing.studies.runner import run_study


@pytest.fixture
def config():
    return load_config(SMALL)


def test_a_scale_knows_only_the_days_before_it(config):
    rng = np.random.default_rng(0)
    days = np.datetime64("2020-01-02", "ms") + np.arange(400) * np.timedelta64(1, "D")
    returns = rng.normal(0.001, 0.02, 400)
    moments = days[[199, 299]]
    first = fitted_scales(config, days, returns, moments, 0.2)
    changed = returns.copy()
    changed[200:] = 0.3
    second = fitted_scales(config, days, changed, moments, 0.2)
    assert first["scales"][0] == second["scales"][0]
    assert first["scales"][1] != second["scales"][1]
    alone = scale_to_budget(
        returns[:200], 0.2, floor=0.4, replications=50, seed=0
    )  # the day that ends then counts
    assert first["scales"][0] == alone.scale
    assert first["promised_growth"][0] == alone.growth


def test_what_a_book_measures_by_hand(config):
    # Equity 1, 1.1, 0.55, 0.66, each a day: one window, largest drawdown 0.5; below the peak 0, 0, 0.5, 0.4
    found = measured(played([0.1, -0.5, 0.2], promised=(0.4, 0.3)), 0.25)
    assert found["growth"] == pytest.approx(np.log(0.66) / 3.0 * 365.0)
    assert found["mdd"] == pytest.approx(0.5)
    assert found["realised_over_promised"] == pytest.approx(0.5 / 0.3)
    assert found["overfit"] == pytest.approx(0.4 - found["growth"])
    assert (found["beyond_10%"], found["beyond_30%"]) == (1.0, 1.0)
    assert found["cdar"] == pytest.approx(0.5)
    # half of the returns: 1.05 x 0.75 x 1.1, drawdown 0.25
    assert found["growth_equal_risk"] == pytest.approx(np.log(1.05 * 0.75 * 1.1) / 3.0 * 365.0, rel=1e-4)


def test_the_choice_by_the_past_follows_the_best_promise_of_each_refit():
    days = ["2022-01-02", "2022-01-03", "2022-01-04", "2022-01-05"]
    since = ["2022-01-01", "2022-01-03"]
    one = played([0.01, 0.02, 0.03, 0.04], days=days, since=since, growth=[0.5, 0.1])
    two = played([-0.01, -0.02, -0.03, -0.04], days=days, since=since, growth=[0.2, 0.3])
    found = chosen_by_the_past({"one": one, "two": two})
    # days that end until the second refit belong to the first: 2022-01-02 and 2022-01-03
    assert found.returns.tolist() == [0.01, 0.02, -0.03, -0.04]
    assert found.summary["promised_growth"] == [0.5, 0.3]


def test_differences_are_paired_at_equal_risk_and_zero_for_the_same_book(config):
    returns = np.random.default_rng(1).normal(0.001, 0.02, 500)
    days = np.datetime64("2021-01-02", "ms") + np.arange(500) * np.timedelta64(1, "D")
    books = {
        "trend": {"0.2": played(returns, days=days)}, "even": {"0.2": played(3.0 * returns, days=days)}
    }  # fmt: skip
    rows = book_rows(config, books).loc[0.2]
    assert rows.loc["even", "difference"] == pytest.approx(0.0, abs=1e-4)  # the same book at another scale
    assert rows.loc["even", "growth"] != pytest.approx(rows.loc["trend", "growth"], abs=0.05)
    assert bool(rows.loc["even", "not_inferior"])
    assert CHOSEN in rows.index


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return run_study(SMALL, [f"output={folder}", "tracking.enabled=false"])


def test_a_study_plays_every_policy_with_its_scale_and_floor(done):
    market = gearing.synthetic_market("market-b", seed=5, years=1.2, contracts=("A", "B", "C", "D"))
    rule = BookInverseVolatility(column="realized_volatility_7d")
    settings = {"direction": "free", "margin_mode": "cross"}
    first = np.datetime64("2020-08-01", "ms")

    def fitted(rebalance):
        days, past = daily_returns_of(gearing.backtest(rule, market, rebalance=rebalance, **settings))
        return scale_to_budget(past[days <= first], 0.2, floor=0.4, replications=50).scale

    # an account at scale s with the band 0.2 trades as one at scale 1 does with 0.2 / s
    scale = fitted(f"band({0.2 / fitted('band(0.2)'):.9f})")
    scales = done.findings.tables["scales"].sort_index()
    book = (ALL, 0, "even", 0.2)
    assert scales.loc[book, "scale"].iloc[0] == scale
    # the whole test again, with all fitted scales
    table = gearing.FeatureSet(rule.required_columns).compute(market)
    start, settings = first - market.bar, settings | {"rebalance": "band(0.2)"}
    fits = scales.loc[book]
    controls = [ExposureScale(tuple(fits["scale"]), tuple(fits.index)), DrawdownFloor(0.4, "365d")]
    again = gearing.backtest(rule, market.between(start), table.between(start), controls=controls, **settings)
    returns = daily_returns_of(again)[1]
    row = done.findings.tables["rows"].loc[(ALL, 0.2, "even")]
    assert row.growth == pytest.approx(np.log1p(returns).mean() * 365.0, rel=1e-12)
    assert row.mdd == pytest.approx(realised_drawdown(returns), rel=1e-12)


def test_a_study_leaves_rows_as_json(done):
    rows = json.loads(json.dumps(done.as_dict()))["rows"]
    rows = [row for row in rows if row["variant"] == ALL]
    assert {row["policy"] for row in rows} == {"trend", "even", "one", CHOSEN}
    needed = {
        "policy", "main", "budget", "growth", "growth_equal_risk", "mdd", "realised_over_promised", "difference",
        "low", "high",
    }  # fmt: skip
    assert all(needed <= row.keys() for row in rows)
    assert [row["policy"] for row in rows if row["main"]] == ["even"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"base": "trand"}, "Did you mean 'trend'"),
        ({"budget": [0.6]}, "drawdown of 1.2"),
        ({"budget": [0.2, 0.2]}, "twice|once"),
        ({"budget": [1.5]}, "less than 1"),
        ({"test": {"from": "2030-01-01"}}, "test.from is 2030-01-01"),
        (
            {"rules": {"one": {"rule": "book_trend", "contracts": ["X"]}}, "base": None, "main": None},
            "rules.one.contracts.*'X'",
        ),
        ({"statistics": {"baseline": "trend"}}, "as base"),
    ],
)
def test_what_cannot_be_studied_is_refused(change, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        run_study({**SMALL, **change, "output": str(tmp_path), "tracking": {"enabled": False}})
