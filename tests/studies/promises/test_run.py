"""An experiment on promises: cells with intervals, opponents, and no scored contract in its own fit."""

import json

import numpy as np
import pytest
from tests.simulation.markets import contract, market as tiny_market

from gearing.evaluation.reports.tables import fitted
from gearing.studies import load_config
from gearing.studies.promises.config import OPPONENTS
from gearing.studies.promises.run import pools_of, promises, trader_line
from gearing.studies.promises.tables import POOLED, refusal
from gearing.studies.work import Work

YAML = """# Do promises hold?
kind: promises
market: {contracts: [AAA, BBB], pool: [AAA, BBB, CCC]}
score_from: 2024-09-01
opponents: [pooled_simulation, ewma_reflection]
replications: 100
"""


def walk(seed, symbol):
    closes = 100.0 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0.0, 0.004, 24 * 600)))
    return tiny_market(closes, contracts=[contract(symbol)])


@pytest.fixture(scope="module")
def markets():
    return {symbol: walk(k, symbol) for k, symbol in enumerate(("AAA", "BBB", "CCC"))}


def configured(tmp_path, *settings):
    place = tmp_path / "promises.yaml"
    place.write_text(YAML)
    return load_config(place, list(settings))


@pytest.fixture(scope="module")
def found(markets, tmp_path_factory):
    folder = tmp_path_factory.mktemp("promises")
    config = configured(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(config.market), "each", lambda self, names=None: {n: markets[n] for n in names})
        return promises(config, Work(config, folder))


def test_as_an_act_it_shows_the_laws_promises_to_longs_of_all_contracts(found):
    shown, rows = found.headline, found.tables["promises"]
    assert shown.table.index.tolist() == [(h, b) for h in ("1d", "7d", "30d") for b in (0.01, 0.05, 0.25)]
    pooled = rows[(rows.contract == POOLED) & (rows.rule == "calibrated") & (rows.event == "liquidated")]
    wanted = pooled[pooled.side == "long"].set_index(["horizon", "budget"]).realised
    assert shown.table.realised.equals(wanted)
    assert shown.printed.columns.tolist()[:3] == ["promised", "came", "95 % interval"]
    text = fitted(shown.printed, 80)
    assert len(text.splitlines()) == 2 + 9  # one block of columns: two lines of names, nine promises
    assert len(shown.figure.axes) == 2


def test_every_cell_has_its_frequency_interval_events_and_leverage(found):
    rows = found.json["promises"]
    # (2 contracts and pooled) x 3 rules x 2 events x 2 sides x 3 horizons x 3 budgets
    assert len(rows) == 3 * 3 * 2 * 2 * 3 * 3
    fields = [
        "contract",
        "rule",
        "event",
        "side",
        "horizon",
        "budget",
        "realised",
        "low",
        "high",
        "n",
        "independent",
    ]
    fields += ["mean_leverage", "refused"]
    assert all(list(row) == fields for row in rows)
    json.dumps(rows, allow_nan=False)
    one = next(r for r in rows if r["contract"] == POOLED and r["horizon"] == "1d" and r["budget"] == 0.25)
    assert one["rule"] == "calibrated"
    assert one["low"] <= one["realised"] <= one["high"]
    assert one["realised"] == pytest.approx(0.25, abs=0.06)
    parts = [r for r in rows if r["contract"] in ("AAA", "BBB") and all(r[k] == one[k] for k in fields[1:6])]
    assert sum(r["n"] for r in parts) == one["n"]
    assert sum(r["n"] * r["realised"] for r in parts) == pytest.approx(one["n"] * one["realised"])


def test_a_refused_promise_has_its_reason_and_no_frequency(found):
    rows = [r for r in found.json["promises"] if r["refused"]]
    assert {(r["rule"], r["side"], r["horizon"], r["budget"]) for r in rows} == {
        ("calibrated", "short", "30d", 0.01)
    }
    assert {r["realised"] for r in rows} == {None}
    assert "8 years" in rows[0]["refused"]
    assert refusal("30d", 1, 0.01) is None


def test_the_law_is_compared_with_every_opponent_on_the_same_starts(found):
    table = found.tables["sharpness"]
    assert {*table.rule} == {"pooled_simulation", "ewma_reflection"}
    assert table.ratio.dropna().between(0.5, 1.5).mean() > 0.9
    assert set(found.figures) == {"budgets", "reliability", "leverage"}
    assert {*found.tables["scores"].score} == {"brier", "log"}


def test_the_line_says_leverage_promise_and_what_came(found):
    assert "keeps liquidation within 7d below 0.05" in found.line
    assert "independent events" in trader_line(found.tables["promises"])


def test_a_contract_is_never_fitted_on_itself_where_there_are_others(tmp_path):
    known = ["AAA", "BBB", "CCC"]
    assert pools_of(configured(tmp_path), known) == {"AAA": ["BBB", "CCC"], "BBB": ["AAA", "CCC"]}
    alone = configured(tmp_path, "market.pool=[AAA]")
    assert pools_of(alone, known) == {"AAA": ["AAA"], "BBB": ["AAA"]}
    assert pools_of(configured(tmp_path), ["AAA", "BBB"]) == {"AAA": ["BBB"], "BBB": ["AAA"]}


def test_a_run_without_a_promise_whose_outcome_is_known_is_refused(markets, tmp_path, monkeypatch):
    # the pool's law over 30 days has no table before 60 starts of its contracts have ended
    config = configured(tmp_path, "score_from=2024-01-01", "score_to=2024-01-20")
    monkeypatch.setattr(type(config.market), "each", lambda self, names=None: {n: markets[n] for n in names})
    with pytest.raises(ValueError, match="no start from 2024-01-01 before 2024-01-20 has both a promise"):
        promises(config, Work(config, tmp_path))


def test_books_and_counts_by_chance_are_reported(found):
    books = found.tables["books"]
    assert set(books.contracts) == {"all"}  # two contracts are too few for a book of three
    assert set(books.book) == {"long", "short", "hedged"}
    refused = books[books.refused.notna()]
    assert set(refused.horizon) == {"30d"}
    assert set(refused.book) == {"short", "hedged"}
    rows = found.json["books"]
    json.dumps(rows, allow_nan=False)
    assert {row["realised"] for row in rows if row["refused"]} == {None}
    row = found.tables["summary"].loc[("calibrated", "1d")]
    assert 0.0 < row["broken_by_chance"] <= row["broken_at_most"]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("opponents=[pooled]", OPPONENTS[0]),
        ("horizons=[36h]", "whole days"),
        ("budgets=[0.7]", "0.5"),
        ("score_from=soon", "score_from"),
        ("score_to=2024-09-01", "is not before score_to"),
        ("books.sizes=[1]", "at least 2 contracts"),
        ("market.contracts=[AAA,AAA]", "names AAA twice"),
    ],
)
def test_wrong_settings_are_refused(tmp_path, setting, message):
    with pytest.raises(ValueError, match=message):
        configured(tmp_path, setting)


def test_horizons_are_days_in_their_order(tmp_path):
    assert configured(tmp_path, "horizons=[7d, 24h, 1d]").horizons == ["1d", "7d"]
