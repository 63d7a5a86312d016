"""Variants of a study of books: the contracts they hold, their numbers, and what figure and sentences say of them."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tests.studies.portfolio.small import SMALL, VARIANTS, played

import gearing
from gearing.evaluation.result import BacktestResult
from gearing.market.synthetic.generators import synthetic_market
from gearing.studies import load_config
from gearing.studies.portfolio.judging import CHOSEN, book_rows
from gearing.studies.portfolio.play import Book, contributions, narrowed
from gearing.studies.portfolio.saying import frontier_figure, sentences
from gearing.studies.portfolio.variants import dealt, largest_rises, most
from gearing.studies.runner import run_study


@pytest.fixture(scope="module")
def market():
    whole = synthetic_market("market-b", seed=5, years=0.1, contracts=("A", "B", "C", "D"))
    tradable = whole.tradable.copy()
    tradable[:100, 0] = False  # A is listed last, the others from the start
    return replace(whole, tradable=tradable)


def test_contracts_are_dealt_in_turn_in_the_order_of_their_first_bars(market):
    # B, C, D, A: the first and third, the second and fourth
    assert dealt(market, 2) == [["B", "D"], ["A", "C"]]
    with pytest.raises(ValueError, match="3 groups of 4 contracts"):
        dealt(market, 3)


def test_the_largest_rises_are_those_of_the_test(market):
    since = market.close_time[499]
    rises = market.close[-1] / market.close[500]
    order = np.argsort(-rises)
    assert largest_rises(market, since, 2) == [market.symbols[k] for k in order[:2]]
    with pytest.raises(ValueError, match="3 of 4 contracts; two must be left"):
        most({"A": 1.0, "B": 2.0, "C": 3.0, "D": 4.0}, 3)


def test_a_group_is_played_with_the_scale_of_the_others(market):
    config = load_config(SMALL | {"variants": VARIANTS})
    fitted_on, played_on = Book("trend", "halves", 0).markets(config, market)
    assert (fitted_on.symbols, played_on.symbols) == (("A", "C"), ("B", "D"))
    left, same = Book("trend", "best_dropped", without="B,C").markets(config, market)
    assert left.symbols == ("A", "D")
    assert same is left


def test_a_contracts_contribution_is_its_profit_over_the_equity_before():
    market = synthetic_market("market-b", seed=1, years=0.1, contracts=("A", "B"))
    result: BacktestResult = gearing.backtest(
        gearing.rules.FixedLeverage(2.0), market, direction="long", margin_mode="cross"
    )
    since = result.time[20]
    found = contributions(result, since)
    # with daily decisions the sum of both is the sum of the simple returns of the days after the twentieth
    assert sum(found.values()) == pytest.approx((result.equity[21:] / result.equity[20:-1] - 1.0).sum())
    own = sum(result.ledgers[name][20:, 0] for name in ("price_pnl", "fees", "funding", "liquidation"))
    assert found["A"] == pytest.approx((own / result.equity[20:-1]).sum())


def test_a_band_is_as_wide_for_an_account_at_scale_one_as_its_scaled_band():
    assert narrowed("band(0.2)", 4.0) == "band(0.050000000)"
    assert narrowed("every_decision", 4.0) == "every_decision"


def test_rows_of_several_groups_are_means_and_their_differences_are_of_the_mean_growth():
    config = load_config(SMALL)
    rng = np.random.default_rng(0)
    groups = [
        {
            name: {"0.2": played(rng.normal(mean, 0.02, 400))}
            for name, mean in (("trend", 0.001), ("even", 0.002))
        }
        for _ in range(2)
    ]
    both = book_rows(config, *groups)
    each = [book_rows(config, one) for one in groups]
    for name in ("growth", "mdd", "growth_equal_risk", "difference"):
        expected = (each[0].loc[(0.2, "even"), name] + each[1].loc[(0.2, "even"), name]) / 2.0
        assert both.loc[(0.2, "even"), name] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"variants": {"all": {"drop": 1}}}, "the study itself is called all"),
        ({"variants": {"x": {}}}, "changes one thing; this one has none"),
        ({"variants": {"x": {"drop": 1, "left_out": 2}}}, "left_out and drop"),
        ({"variants": {"x": {"left_out": 2, "by": "price"}}}, "drops none"),
        ({"variants": {"x": {"missing_funding": "median"}}}, "lacks no funding"),
        ({"base": "one", "variants": VARIANTS}, "or trades contracts of its own"),
        ({"variants": {"x": {"drop": 1, "policies": ["trand"]}}}, "Did you mean 'trend'"),
        ({"variants": {"x": {"drop": 1, "policies": ["even"]}}}, "trend, which others are compared with"),
    ],
)
def test_variants_that_cannot_be_played_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        load_config(SMALL | change)


@pytest.fixture(scope="module")
def judged():
    config = load_config(SMALL | {"variants": {"dropped": {"drop": 1}}})
    rng = np.random.default_rng(0)
    books = {
        name: {"0.2": played(rng.normal(mean, 0.02, 400), promised=(0.4, 0.2))}
        for name, mean in (("trend", 0.001), ("even", 0.0015), ("one", 0.0))
    }
    rows = book_rows(config, books)
    return config, books, pd.concat({"all": rows, "dropped": rows}, names=["variant"])


def test_sentences_name_promise_difference_and_variant(judged):
    config, _, table = judged
    can, cannot = sentences(config, table)
    said = " ".join((*can, *cannot))
    row = table.loc[("all", 0.2, "even")]
    assert f"mean largest drawdown of even was {row.realised_over_promised:.2f} of the promise" in said
    assert "even against trend: " in said
    assert "without the contract that each policy gained most from (dropped) even grew" in said


def test_the_frontier_names_every_policy_without_two_names_in_one_place(judged):
    config, books, table = judged
    figure = frontier_figure(config, table, books)
    axis = figure.axes[0]
    labels = [text for text in axis.texts if text.get_text().split(" ")[0] in {"trend", "even", "one"}]
    assert {text.get_text() for text in labels} == {"trend (base)", "even (main)", "one"}
    places = sorted(text.get_position()[1] for text in labels)
    low, high = axis.get_ylim()
    assert min(np.diff(places)) > 0.04 * (high - low)


@pytest.mark.slow
def test_a_study_plays_its_variants_on_their_own_contracts(tmp_path):
    done = run_study({**SMALL, "variants": VARIANTS, "output": str(tmp_path), "tracking": {"enabled": False}})
    rows, scales = done.findings.tables["rows"], done.findings.tables["scales"]
    assert list(rows.index.get_level_values("variant").unique()) == ["all", *VARIANTS]
    assert set(rows.loc["halves"].index.get_level_values("policy")) == {"trend", "even", CHOSEN}
    # each half's scale is that of a study of the other half alone
    alone = {**SMALL, "market": SMALL["market"], "rules": {
        name: {**SMALL["rules"][name], "contracts": ["A", "C"]} for name in ("trend", "even")
    }}  # fmt: skip
    other = run_study({**alone, "output": str(tmp_path / "alone"), "tracking": {"enabled": False}})
    for name in ("trend", "even"):
        assert (
            scales.loc[("halves", 1, name, 0.2), "scale"].tolist()
            == other.findings.tables["scales"].loc[("all", 0, name, 0.2), "scale"].tolist()
        )
    named = json.loads(json.dumps(done.as_dict()))["rows"]
    assert {row["variant"] for row in named} == {"all", *VARIANTS}
