"""Ratios, their intervals, the worst day and the best form of an opponent."""

import numpy as np
import pandas as pd
import pytest

from gearing.forecasters.scoring.scores import qlike
from gearing.studies.forecast.unseen.config import UnseenConfig
from gearing.studies.forecast.unseen.judging import judge

DAYS = pd.date_range("2023-01-01", periods=200, freq="D", name="known_at")


def table(panel, har, har_rescaled, seed=0):
    """Forecasts that are fixed multiples of what was realised, so that losses are known."""
    realised = np.exp(np.random.default_rng(seed).normal(-7.0, 1.0, len(DAYS)))
    columns = {
        "panel": panel,
        "panel_home": panel,
        "ewma_plain": 3.0,
        "har": har,
        "har_rescaled": har_rescaled,
    }
    made = pd.DataFrame({name: realised / ratio for name, ratio in columns.items()}, index=DAYS)
    for name in ("panel", "panel_home"):
        made[f"{name}_lower"], made[f"{name}_upper"] = realised * 0.5, realised * 2.0
        made[f"{name}_tercile"] = np.arange(len(DAYS)) % 3
    return made.assign(realised=realised)


def judged(tables, **settings):
    config = UnseenConfig.model_validate(
        {
            "name": "x",
            "market": {"generator": "market-b", "contracts": list(tables)},
            "opponents": ["har"],
            **settings,
        }
    )
    return judge(config, {}, tables)


def loss(ratio):
    return ratio - np.log(ratio) - 1.0


def test_the_reference_is_the_better_form_of_har():
    scores = judged({"A": table(1.5, 3.0, 2.0)}).tables["scores"]
    assert scores.loc[("A", "panel"), "qlike"] == pytest.approx(loss(1.5))
    assert scores.loc[("A", "panel"), "ratio_to_har"] == pytest.approx(loss(1.5) / loss(2.0))
    assert scores.loc[("A", "har"), "ratio_to_har"] == pytest.approx(loss(3.0) / loss(2.0))


def test_pooled_scores_are_means_over_all_forecasts_and_choose_one_form_for_all():
    tables = {"A": table(1.5, 3.0, 2.0), "B": table(1.5, 2.0, 5.0, seed=1).iloc[:100]}
    row = judged(tables).tables["scores"].loc[("pooled", "panel")]
    har = 200 * loss(3.0) + 100 * loss(2.0)
    rescaled = 200 * loss(2.0) + 100 * loss(5.0)
    assert har < rescaled  # 211 against 300, though the rescaled form is the better one for A
    assert row["ratio_to_har"] == pytest.approx(300 * loss(1.5) / har)
    assert row["n_forecasts"] == 300
    assert row["n_days"] == 200


def test_one_absurd_day_is_left_out_of_both():
    absurd = table(1.5, 2.0, 2.0)
    absurd.iloc[50, absurd.columns.get_loc("panel")] /= 1000.0
    row = judged({"A": absurd}).tables["scores"].loc[("A", "panel")]
    assert row["ratio_to_har"] > 10.0
    assert row["ratio_to_har_without_worst_day"] == pytest.approx(loss(1.5) / loss(2.0))


def test_constant_ratios_have_intervals_without_width():
    row = judged({"A": table(1.5, 2.0, 2.0)}).tables["scores"].loc[("A", "panel")]
    assert row["ratio_to_har_low"] == pytest.approx(row["ratio_to_har_high"])


def test_coverage_counts_all_days():
    row = judged({"A": table(1.5, 2.0, 2.0)}).tables["scores"].loc[("A", "panel")]
    assert row["coverage"] == 1.0
    assert row["coverage_low"] == 1.0


def test_a_contract_without_opponents_is_compared_with_the_plain_ewma():
    young = table(1.5, 2.0, 2.0).drop(columns=["har", "har_rescaled"])
    findings = judged({"A": young})
    assert findings.tables["young"].loc["A", "ratio_to_ewma"] == pytest.approx(loss(1.5) / loss(3.0))
    assert "no contract has a year of history" in findings.line


def test_years_are_ratios_of_their_own_sums():
    years = judged({"A": table(1.5, 3.0, 2.0)}).tables["years"]
    assert years.loc[("A", "panel"), 2023] == pytest.approx(loss(1.5) / loss(2.0))


def test_the_loss_is_qlike():
    assert qlike(np.array([3.0]), np.array([2.0]))[0] == pytest.approx(loss(1.5))


def test_the_line_counts_contracts_and_has_no_interval_of_a_few_days():
    both = judged({"A": table(1.5, 3.0, 2.0), "B": table(1.5, 3.0, 2.0)})
    assert "on 2 contracts that it was not fitted on, panel has 0.308 [0.308, 0.308]" in both.line
    few = judged({"A": table(1.5, 3.0, 2.0).iloc[:2]}).line
    # (0.5 - ln 1.5) / (1 - ln 2) = 0.0945 / 0.307
    assert "on 1 contract that it was not fitted on, panel has 0.308 (too few days for an interval)" in few
    assert "nan" not in few
