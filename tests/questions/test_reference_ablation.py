"""The ablation's base is the case study, and its signals are what they are called."""

import numpy as np
import pandas as pd
import pytest
from tests.simulation.markets import market as tiny_market

import gearing
from gearing.policies import make_rule
from gearing.questions.question import Bootstrap
from gearing.questions.reference_ablation import (
    RUINED,
    Variant,
    ablation,
    explained,
    momentum,
    signal_scan,
    with_flat_tier,
)
from gearing.questions.rule_grid.play import Evidence, run_cells


@pytest.fixture(scope="module")
def market():
    return gearing.synthetic_market("market-b", seed=5, years=1.2)


@pytest.fixture(scope="module")
def found(market):
    return ablation(market, {"base": Variant(start="2020-06-01")})


@pytest.mark.slow
def test_the_base_counts_what_the_cells_of_the_case_study_count(market, found):
    rules = {name: make_rule(name) for name in (*RUINED, "inverse_atr") if name != "volatility_weighted"}
    rules["volatility_weighted"] = make_rule(
        {"rule": "volatility_weighted", "column": "volatility_percentile_30d"}
    )
    cells = run_cells(
        {"X": market.between("2020-04-30T12:00", None)},
        rules,
        evidence=Evidence(shifts=0, bootstrap=Bootstrap(replications=100)),
    ).rows
    # Thirty-one days of warm-up from there end on 31 May: the first decision is the same.
    ruined = cells.xs(1.0, level="margin_share").groupby("rule").ruined.sum()
    for name in RUINED:
        assert found.loc["base", f"ruined_{name}"] == ruined[name]
    tenth = cells.xs(0.1, level="margin_share")
    ratio = tenth.xs("volatility_weighted", level="rule").sharpe / tenth.xs("fixed_10x", level="rule").sharpe
    assert found.loc["base", "ratio_least"] == pytest.approx(ratio.min())
    assert found.loc["base", "ratio_largest"] == pytest.approx(ratio.max())
    one = tenth.loc[("X", "long", "every_decision", "inverse_atr")].sharpe
    assert found.loc["base", "inverse_atr_long"] == pytest.approx(one)


def test_the_reference_is_the_first_row(found):
    assert list(found.index) == ["reference", "base"]
    assert found.loc["reference", "ruined_fixed_3x"] == 5
    assert found.loc["reference", "held_30d"] == 0.49


def test_momentum_is_the_side_of_return_or_mean():
    closes = np.concatenate([np.full(24, 100.0), np.full(12, 130.0), np.full(12, 110.0)])
    path = tiny_market(closes)
    by_return, by_mean = (momentum(path, kind, "1d")[:, 0] for kind in ("return", "mean"))
    assert np.isnan(by_return[:24]).all()
    assert np.isnan(by_mean[:23]).all()
    assert by_return[-1] == 1.0  # 110 against 100 a day ago
    assert by_mean[-1] == -1.0  # 110 against a mean of 12 x 130 and 12 x 110
    with pytest.raises(ValueError, match="return or mean"):
        momentum(path, "median", "1d")


def test_an_explanation_is_named_only_where_a_number_carries_it():
    rows = ["reference", "as here", "one change", "another"]
    found = pd.DataFrame(
        {"same": [5.0, 5.0, 1.0, 9.0], "moved": [5.0, 3.0, 5.0, 9.0], "spanned": [5.0, 3.0, 3.0, 4.0],
         "open": [0.85, 0.6, 0.7, 0.5]}, index=rows,
    )  # fmt: skip
    signals = pd.DataFrame({name: [5.0, 2.0, 6.0] for name in found}, index=["reference", "a", "b"])
    table = explained(found, signals)
    assert table.explanation["same"] == "agrees"
    assert table.explanation["moved"] == "one change"
    assert table.explanation["spanned"].startswith("momentum")
    assert table.explanation["open"] == "not found"
    assert table.nearest["open"] == "one change"
    assert table.nearest["same"] is None  # nothing is nearer than the case study itself


def test_a_figure_without_a_value_in_any_variant_is_marked_so_and_stops_nothing():
    rows = ["reference", "as here", "one change", "another"]
    gone = [0.85, np.nan, np.nan, np.nan]
    found = pd.DataFrame(
        {"gone": gone, "scanned": gone, "lost": [0.85, 0.7, np.nan, np.nan], "same": [5.0, 5.0, 1.0, 9.0]}, index=rows
    )  # fmt: skip
    signals = pd.DataFrame(
        {"scanned": [0.85, 0.5, 0.9], "same": [5.0, 2.0, 6.0]}, index=["reference", "a", "b"]
    )
    table = explained(found, signals)
    assert table.explanation["gone"] == "no value: ruined in every variant, or too short a history"
    assert table.nearest["gone"] is None
    assert table.explanation["scanned"].startswith("momentum")
    assert table.explanation["lost"] == "not found"
    assert table.explanation["same"] == "agrees"


def test_a_table_without_the_reference_and_the_case_study_is_refused():
    found = pd.DataFrame({"same": [5.0]}, index=["reference"])
    with pytest.raises(ValueError, match="two rows"):
        explained(found, found)


@pytest.mark.slow
def test_signals_are_scanned_one_by_one(market):
    found = signal_scan(market, [("return", "7d"), ("mean", "7d")], Variant(start="2020-06-01"))
    assert list(found.index) == ["reference", "return 7d", "mean 7d"]
    assert not any(name.startswith("held") for name in found)


def test_a_flat_tier_requires_the_same_of_every_size(market):
    schedule = with_flat_tier(market, 0.005).contracts[0].schedules[0]
    assert len(schedule) == 1
    assert schedule.tiers[0].rate == 0.005
    assert schedule.tiers[0].max_leverage == 125.0
