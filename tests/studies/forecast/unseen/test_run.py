"""Contracts that no model was fitted on: each forecast is out of sample, each opponent knows its own past only."""

import json

import numpy as np
import pandas as pd
import pytest
from tests.features.markets import random_market

from gearing.features.leakage import rewrite_future
from gearing.forecasters.panel import Panel
from gearing.studies import load_config, run_study
from gearing.studies.forecast.unseen.names import EWMA, HOME, PANEL, WEIGHTED
from gearing.studies.forecast.unseen.run import forecasts_of

YAML = """# Does the panel know a contract that it never saw?
kind: volatility_unseen
market: {generator: market-b, contracts: [A, B, C], years: 0.6, seed: 5}
opponents: [har, ridge_own, ridge_panel]
schedule: {train: 60d}
pool_schedule: {train: 60d}
resampling: {replications: 200}
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    place = tmp_path_factory.mktemp("unseen") / "unseen.yaml"
    place.write_text(YAML)
    return load_config(place, [f"output={place.parent / 'runs'}", "tracking.enabled=false"])


@pytest.fixture(scope="module")
def markets():
    """Three contracts; C is listed 60 days before the end."""
    long = {
        name: random_market(24 * 240, n_contracts=1, seed=k, start="2023-01-01T00:00").replace(
            implied_volatility=None
        )
        for k, name in enumerate("ABC")
    }
    return {**long, "C": long["C"].rows(24 * 180, 24 * 240)}


def made(config, markets, symbol):
    return forecasts_of(config, Panel.of(markets), markets[symbol], symbol)


def test_every_model_has_its_column_and_the_young_contract_only_those_that_need_no_past(config, markets):
    old, young = made(config, markets, "A"), made(config, markets, "C")
    for name in (
        PANEL,
        HOME,
        WEIGHTED,
        EWMA,
        "har",
        "har_rescaled",
        "ridge_own",
        "ridge_panel",
        "ridge_panel_rescaled",
    ):
        assert np.isfinite(old[name].iloc[-1]), name
    assert {PANEL, HOME, EWMA} <= set(young)
    assert not {"har", "ridge_own", "ridge_panel"} & set(young)
    assert young.index[0] == pd.Timestamp("2023-01-01") + pd.Timedelta(days=180 + 11)


def test_the_weighted_panel_lies_between_the_two_and_begins_in_their_middle(config, markets):
    table = made(config, markets, "A")
    both = table[[PANEL, HOME]]
    assert (table[WEIGHTED] >= both.min(axis=1) * (1.0 - 1e-12)).all()
    assert (table[WEIGHTED] <= both.max(axis=1) * (1.0 + 1e-12)).all()
    assert table[WEIGHTED].iloc[0] == pytest.approx(np.sqrt(both.iloc[0].prod()))


def test_a_plain_ewma_is_what_its_name_says(config, markets):
    table = made(config, markets, "A")
    returns = np.diff(np.log(markets["A"].close[:, 0]))
    bar = np.flatnonzero(markets["A"].close_time == table.index[-1].to_datetime64())[0]
    newest = returns[:bar][::-1][:240]  # five half-lives of 48 bars
    weights = 0.5 ** (np.arange(240) / 48.0)
    expected = 24.0 * (weights @ newest**2) / weights.sum()
    assert table[EWMA].iloc[-1] == pytest.approx(expected, rel=1e-6)


def test_nothing_knows_the_future_of_any_contract(config, markets):
    row = 24 * 200 + 7
    changed = {
        name: rewrite_future(m, row, seed=k) for k, (name, m) in enumerate(markets.items()) if name != "C"
    }
    two = {name: markets[name] for name in changed}
    before, after = made(config, two, "A"), made(config, changed, "A")
    cut = markets["A"].close_time[row] - np.timedelta64(24, "h")  # targets of later rows are rewritten
    pd.testing.assert_frame_equal(before[before.index <= cut], after[after.index <= cut], check_exact=True)
    assert not np.allclose(before[PANEL].iloc[-5:], after[PANEL].iloc[-5:])


def test_a_run_scores_every_contract_and_writes_what_forecast_writes(config):
    done = run_study(config)
    findings = done.findings
    table = findings.tables["scores"]
    assert set(table.index.get_level_values(0)) == {"A", "B", "C", "pooled"}
    row = table.loc[("pooled", PANEL)]
    assert row["ratio_to_har_low"] < row["ratio_to_har"] < row["ratio_to_har_high"]
    written = json.loads(json.dumps(findings.json))
    assert written["scored"] == written["pool"] == ["A", "B", "C"]
    assert written["models"]["har"]["ratio_to_har"] >= 1.0
    assert set(written["contracts"]) == {"A", "B", "C"}
    assert "panel has" in findings.line


def test_score_from_limits_what_is_scored(config):
    later = config.model_copy(update={"score_from": "2020-07-01"})
    days = run_study(config).findings.tables["scores"].loc[("A", PANEL), "n_days"]
    assert run_study(later).findings.tables["scores"].loc[("A", PANEL), "n_days"] < days


def test_a_day_after_the_last_cannot_be_scored(config):
    with pytest.raises(ValueError, match="score_from is 2050-01-01, but the bars of A, B, C end"):
        run_study(config.model_copy(update={"score_from": "2050-01-01"}))
