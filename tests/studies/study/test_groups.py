"""Studies with groups: fixed leverage with the same mean, windows and drawdowns by hand; pooled contracts."""

from dataclasses import replace

import numpy as np
import pytest
from tests.features.markets import random_market

from gearing.features import FeatureSet
from gearing.features.leakage import rewrite_future
from gearing.market import synthetic_market
from gearing.simulation import SimulationConfig, Simulator
from gearing.studies.reading import load_config
from gearing.studies.runner import run_study
from gearing.studies.study.columns import column_names
from gearing.studies.study.config import StudyConfig
from gearing.studies.study.days import (
    Days,
    Played,
    days_of,
    largest_drawdown,
    on_days,
    windows_with_liquidation,
)
from gearing.studies.study.learning import as_one_contract
from gearing.studies.study.policies import (
    placebo,
    policies_line,
    policies_printed,
    policies_table,
    reasons_table,
    seeds_table,
)
from gearing.studies.study.prepare import prepare
from gearing.studies.study.trials import PolicyTrial
from gearing.studies.trials import Store
from gearing.studies.work import Work


def test_a_liquidation_touches_every_window_of_30_days_that_holds_it():
    day = np.datetime64("2024-01-01") + np.arange(60)
    hits = np.zeros(60)
    hits[40] = 1
    # windows begin on days 0 .. 30; those from day 11 on hold day 40: 20 of 31
    assert windows_with_liquidation({"time": day, "liquidations": hits}).mean() == pytest.approx(20 / 31)
    assert not windows_with_liquidation({"time": day, "liquidations": 0 * hits}).any()


def test_the_largest_drawdown_counts_from_the_start():
    assert largest_drawdown(np.log([0.5, 2.0, 0.8])) == pytest.approx(0.5)
    assert largest_drawdown(np.log([2.0, 0.8])) == pytest.approx(0.2)


def test_paths_of_several_contracts_train_one_account_and_pay_the_same_growth():
    market = random_market(n_bars=24 * 20, n_contracts=2, seed=4)
    columns = FeatureSet(["realized_volatility_24h"])
    pairs = [(one, columns.compute(one)) for one in (market.select("C0"), market.select("C1"))]
    markets, tables = as_one_contract(pairs)
    assert {m.symbols for m in markets} == {("C0",)}
    assert markets[1].close[0, 0] == pytest.approx(markets[0].close[0, 0])
    config = SimulationConfig(decision_interval="24h", start="first", initial_equity=1e7)
    pooled = Simulator(markets, tables, config)  # accepts both
    assert len(pooled.tape.boundaries) == 2
    growth = []
    for one, table in ((pairs[1][0], pairs[1][1]), (markets[1], tables[1])):
        simulator = Simulator(one, table, config)
        simulator.reset(seed=0)
        steps, _ = simulator.run(np.full((simulator.n_decisions, 1), 2.0))
        growth.append(steps.log_growth[0])
    np.testing.assert_allclose(growth[0], growth[1], atol=1e-5)  # but for lots and ticks


def test_an_agent_that_requests_an_unknown_group_is_refused():
    given = {
        "name": "h",
        "market": {"folder": "nowhere"},
        "groups": {"BTC": ["BTCUSDT"]},
        "agents": {"one": {"algorithm": "ppo", "groups": ["ETH"]}},
    }
    with pytest.raises(ValueError, match="agent one names 'ETH'; there are BTC"):
        StudyConfig(**given)


def study(**given):
    usual = {"name": "h", "market": {"folder": "nowhere"}, "groups": {"C0": ["C0"]}, "rules": ["fixed_3x"]}
    return StudyConfig(**{**usual, "columns": ["default"], "forecast": None, **given})


SOON = {"sizes": [0.01, 0.02], "train": "60d", "curve": "30d"}


@pytest.mark.parametrize(
    ("directions", "names"),
    [
        ({"long": "long"}, ["touch_down_1", "touch_down_2"]),
        ({"short": "short"}, ["touch_up_1", "touch_up_2"]),
        (
            {"momentum": "signal:momentum_side_30d"},
            ["touch_down_1", "touch_down_2", "touch_up_1", "touch_up_2"],
        ),
    ],
)
def test_excursions_are_those_that_the_directions_have_to_fear(directions, names):
    assert column_names(study(directions=directions, excursions=SOON), ["excursions"]) == names


def test_no_column_of_a_study_knows_what_comes_after_it(tmp_path, monkeypatch):
    """Features, the forecast and the touch probabilities, up to a bar after which every price is another one."""
    market, row = random_market(24 * 200, n_contracts=1, seed=3), 24 * 160 + 7
    config = study(
        columns=["realized_volatility_24h", "forecast", "excursions"],
        forecast={"forecaster": "har", "train": "60d"},
        excursions=SOON,
        agents={"one": {"algorithm": "differentiable"}},
        folds={"train": "20d", "validate": "10d", "test": "10d"},
    )
    tables = []
    for number, one in enumerate((market, rewrite_future(market, row))):
        monkeypatch.setattr(type(config.market), "each", lambda self, symbols, one=one: {"C0": one})
        tables.append(prepare(config, Work(config, tmp_path / str(number))).tables["C0"])
    before, after = tables
    assert set(column_names(config, config.columns)) <= set(before.columns)
    assert np.isfinite(before.values[before.first_complete : row + 1]).all()
    assert before.first_complete < row
    assert before.values[: row + 1].tobytes() == after.values[: row + 1].tobytes()
    for name in before.columns:
        assert not np.array_equal(before.column(name)[row + 48 :], after.column(name)[row + 48 :])


@pytest.mark.parametrize("column", ["forecast", "excursions"])
def test_a_forecast_that_the_study_does_not_make_is_refused(column):
    with pytest.raises(ValueError, match=f"agents one read the column '{column}', and {column} is null"):
        study(agents={"one": {"columns": [column]}})


N_DAYS, N_FOLDS = 60, 2


def days(growth, fixed, constant, **given):
    """What one seed did in two folds of 30 days; daily growths are constant."""
    each = np.ones((N_DAYS, 1)) / 365.0
    usual = {
        "growth": growth * each, "matched": fixed * each, "constant": constant * each,
        "fold_growth": np.full((1, N_FOLDS), growth),
        "leverage": np.array([0.5]), "fees": np.array([-0.03]), "matched_fees": np.array([-0.01]),
        "funding": np.zeros(1), "liquidations": np.zeros(1), "windows": np.zeros((N_DAYS, 1)),
        "drawdown": np.zeros(1), "ruined": np.zeros(1), "replayed": np.full((1, N_FOLDS), 0.3),
        "shifted": np.tile([0.0, 0.1, 0.2, 0.5], (1, N_FOLDS, 1)), "validation": np.array([[0.4, 0.2]]),
        "chosen_at": np.array([[0, 20_000]]),
    }  # fmt: skip
    return Days(**{**usual, **given})


def an_agent(*contracts):
    return Played("BTC", "long", "agent", "agent", (7,), list(contracts))


def test_the_parts_of_an_agents_growth_add_up():
    table = reasons_table([an_agent(days(0.10, 0.16, 0.20), days(0.30, 0.26, 0.20))])
    row = table.loc[("BTC", "long", "agent")]
    assert row["growth"] == pytest.approx(0.20)
    assert row["one_level"] == pytest.approx(0.20)
    assert row["between_folds"] == pytest.approx(0.01)
    assert row["within_folds"] == pytest.approx(-0.01)
    assert row["more_fees"] == pytest.approx(-0.02)
    assert row["promised"] == pytest.approx(0.3)
    assert row["untrained"] == 0.5


def test_timing_is_judged_against_the_same_leverages_at_other_times():
    gained, chance = placebo(an_agent(days(0.1, 0.1, 0.1)))
    assert gained == pytest.approx(0.3 - 0.2)  # the mean of the shifts is 0.2
    assert chance == pytest.approx(2 / 5)  # one of four shifts did as well, and the agent itself counts
    unplayed = days(0.1, 0.1, 0.1, replayed=np.full((1, N_FOLDS), np.nan))
    assert np.isnan(placebo(an_agent(unplayed))).all()


def test_validation_that_ranks_folds_as_the_test_does_correlates():
    same = days(0.1, 0.1, 0.1, fold_growth=np.array([[0.3, 0.1]]))
    other = days(0.1, 0.1, 0.1, fold_growth=np.array([[0.1, 0.3]]))
    correlation = [reasons_table([an_agent(one)])["correlation"].iloc[0] for one in (same, other)]
    assert correlation == pytest.approx([1.0, -1.0])


def test_only_what_all_rows_together_cannot_explain_gets_a_verdict():
    rng = np.random.default_rng(0)

    def noisy(mean):
        growth = mean / 365.0 + 0.01 * rng.normal(size=(N_DAYS * 10, 1))
        return replace(days(mean, 0.0, 0.0), growth=growth, matched=np.zeros_like(growth))

    means = {"good": 3.0, "bad": -3.0, **{f"chance_{k}": 0.0 for k in range(8)}, "steady": 3.0}
    played = [
        Played("BTC", "long", name, "fixed" if name == "steady" else "rule", (), [noisy(mean)])
        for name, mean in means.items()
    ]
    verdict = policies_table(played).droplevel(["group", "direction"])["verdict"]
    assert verdict["good"] == "better"
    assert verdict["bad"] == "worse"
    assert set(verdict.filter(like="chance")) == {""}
    assert isinstance(verdict["steady"], float)
    assert np.isnan(verdict["steady"])


def test_other_settings_of_an_agent_are_another_trial_and_more_seeds_are_not(tmp_path):
    def place(**given):
        agents = {"one": {"algorithm": "differentiable", **given.pop("agent", {})}}
        config = study(agents=agents, **given)
        return Store(config, tmp_path, {"C0": "aa", "C1": "bb"}).place(PolicyTrial("one", 0, "2020", 0, "C0"))

    plain = place()
    assert place(seeds=9, rules=["fixed_1x"], budget=0.1, agent={"seeds": 3, "groups": ["C0"]}) == plain
    assert place(groups={"C0": ["C0"], "C1": ["C1"]}) == plain
    assert place(agent={"choose": False}) != plain
    assert place(agent={"task": "daily_history"}) != plain
    assert place(groups={"C0": ["C0", "C1"]}) != plain
    assert place(directions={"long": "short"}) == plain  # which this trial does not have
    assert place(decision={"direction": "short"}) != plain


def test_days_outside_the_decisions_of_a_trial_are_flat():
    """A week's decisions from the third day on, in a span of ten days."""
    start = np.datetime64("2024-01-06T00:00", "ms")
    fold = {"time": np.array([start + np.timedelta64(2, "D")]), "growth": np.full(7, 0.01)}
    where = days_of(fold, (start, start + np.timedelta64(10, "D")))
    assert where == (2, 9, 10)
    np.testing.assert_array_equal(on_days(fold["growth"], *where), [0, 0, *[0.01] * 7, 0])


SYNTHETIC = {
    "name": "synthetic",
    "market": {"seed": 2, "years": 0.5},
    "groups": {"BTC": ["BTC-SYN"], "both": ["BTC-SYN", "ETH-SYN"]},
    "folds": {"train": "40d", "validate": "10d", "test": "30d", "count": 1},
    "decision": {"max_leverage": 20, "margin_share": 0.5},
    "columns": ["realized_volatility_24h"],
    "forecast": None,
    "tracking": {"enabled": False},
}
AGENT = {"algorithm": "differentiable", "task": "daily_history", "steps": 1024, "episode_length": "20d"}


def synthetic(tmp_path, **given):
    return load_config({**SYNTHETIC, "output": str(tmp_path), **given})


def test_every_policy_is_played_on_each_contract_in_each_direction_without_and_with_the_overlay(tmp_path):
    config = synthetic(
        tmp_path,
        directions={"up": "long", "down": "short"},
        overlay=[{"control": "portfolio_limit", "gross": 0.5}],
        rules=["fixed_10x", "tiered"],
        agents={"one": {**AGENT, "groups": ["both"], "directions": ["up"]}},
        seeds=2,
        shifts=10,
    )
    done = run_study(config)
    table = done.leaderboard
    policies = ["fixed_10x", "tiered", "fixed_10x + controls", "tiered + controls"]
    with_agents = [*policies[:2], "one", *policies[2:], "one + controls"]
    assert table.loc[("BTC", "down")].index.tolist() == table.loc[("both", "down")].index.tolist() == policies
    assert table.loc[("both", "up")].index.tolist() == with_agents
    assert table.loc[("BTC", "up", "fixed_10x + controls"), "leverage"] < 0.6
    assert table.loc[("BTC", "up", "fixed_10x"), "leverage"] > 4.0
    assert (
        table.loc[("BTC", "up", "fixed_10x"), "growth"] != table.loc[("BTC", "down", "fixed_10x"), "growth"]
    )
    assert np.isfinite(table.loc[("both", "up", "one"), "placebo"])
    assert done.findings.tables["seeds"].loc[("both", "up", "one")].index.tolist() == [0, 1]
    assert np.isfinite(done.findings.tables["reasons"].loc[("both", "up", "one"), "promised"])
    rule_trials = list((done.folder / "trials").glob("fold0-tiered-*/summary.json"))
    assert len(rule_trials) == 4  # two contracts in two directions; BTC-SYN is in both groups and played once


def test_controls_of_the_study_hold_in_training_and_test_and_the_overlay_in_the_test_alone(tmp_path):
    limit = [{"control": "portfolio_limit", "gross": 0.5}]
    config = synthetic(tmp_path, rules=["fixed_1x"], agents={"one": AGENT}, controls=limit, overlay=limit)
    assert [len(config.simulation("one", overlay=overlay).controls) for overlay in (False, True)] == [1, 2]
    own = synthetic(tmp_path, rules=["fixed_1x"], agents={"one": {**AGENT, "controls": []}}, controls=limit)
    assert own.simulation("one").controls == ()


@pytest.mark.parametrize(
    "policies", [{"rules": ["fixed_1x", "fixed_3x"]}, {"agents": {"one": AGENT}, "seeds": 1}]
)
def test_a_study_has_rules_alone_or_agents_alone(tmp_path, policies):
    done = run_study(synthetic(tmp_path, **policies))
    assert len(done.leaderboard) == 2 * len(policies.get("rules", ["one"]))
    assert ("reasons" in done.findings.tables) == ("agents" in policies)
    assert done.summary.endswith(done.findings.line)


def test_an_agent_begins_with_the_weights_of_its_synthetic_past_and_sees_bootstrap_paths(tmp_path):
    past = {"years": 1.0, "decisions": 1024}
    config = synthetic(
        tmp_path, agents={"one": {**AGENT, "groups": ["BTC"], "pretrain": past, "bootstrap": 1}}, seeds=1
    )
    done = run_study(config)
    assert len(list((done.folder / "trials").glob("pretrain-one-seed0-*/policy"))) == 1
    assert done.leaderboard.index.tolist() == [("BTC", "long", "one")]


def test_a_synthetic_past_has_the_settings_of_its_generator(tmp_path, monkeypatch):
    seen = []

    def generated(name, **given):
        seen.append(given.get("cap_volatility"))
        return synthetic_market(name, **given)

    monkeypatch.setattr("gearing.studies.study.learning.synthetic_market", generated)
    past = {"generator": "market-b", "cap_volatility": 3.0, "years": 1.0, "decisions": 1024}
    run_study(synthetic(tmp_path, agents={"one": {**AGENT, "groups": ["BTC"], "pretrain": past}}, seeds=1))
    assert seen == [3.0, 3.0]  # the past itself, and the shorter one that chooses the weights


def test_the_former_kind_says_what_to_write_instead():
    with pytest.raises(
        ValueError, match=r"no kind 'history' any more\. Write kind: study, overlay: instead of"
    ):
        load_config({"name": "old", "kind": "history"})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"market": {"contracts": ["BTC-SYN"]}}, "groups name the contracts"),
        ({"agents": {"one": AGENT}, "export": "one"}, "a study with groups exports no policy"),
        ({"groups": None, "shifts": 3}, "shifts belong to a study with groups"),
    ],
)
def test_settings_that_do_not_go_with_groups_are_refused(tmp_path, given, message):
    with pytest.raises(ValueError, match=message):
        synthetic(tmp_path, **{"rules": ["fixed_1x"], **given})


def test_growth_of_a_ruined_account_is_a_word_in_every_table():
    one = an_agent(days(-4.0, -1.0, -1.0, ruined=np.array([1])), days(0.3, 0.2, 0.2))
    table, reasons, seeds = policies_table([one]), reasons_table([one]), seeds_table([one])
    row = table.loc[("BTC", "long", "agent")]
    # two contracts and two folds are four accounts, of which one was ruined: a quarter, which the IQM leaves out
    assert (row["accounts"], row["ruined"]) == (4, 1)
    assert row["growth"] == row["versus_fixed"] == row["placebo"] == "ruined"
    assert row["iqm"] == pytest.approx((-4.0 + 0.3) / 2)
    assert np.isnan(row["verdict"]) if not isinstance(row["verdict"], str) else row["verdict"] == ""
    assert reasons.loc[("BTC", "long", "agent"), "growth"] == "ruined"
    assert seeds["growth"].tolist() == ["ruined"]
    assert "agent on BTC long ruined in 1 of 4 accounts" in policies_line("x", [one], table)


def test_the_printed_policies_have_their_intervals_ruins_and_training():
    lived, gone = an_agent(days(0.1, 0.1, 0.1)), an_agent(days(-4.0, -1.0, -1.0, ruined=np.array([1])))
    (row,) = policies_printed(policies_table([lived])).to_dict("records")
    # the same growth every day, and that of the fixed leverage
    assert row["log growth/y [95 %]"] == "+0.10 [+0.10, +0.10]"
    assert row["vs fixed, same mean [95 %]"] == "0.00 [0.00, 0.00]"
    assert (row["ruined"], row["trained"], row["untrained"]) == ("0 of 2", "10,000", "50%")
    (row,) = policies_printed(policies_table([gone])).to_dict("records")
    assert row["log growth/y [95 %]"] == row["vs fixed, same mean [95 %]"] == "ruined"
    assert row["ruined"] == "1 of 2"


def test_one_seed_has_no_interval_over_seeds():
    row = policies_table([an_agent(days(0.1, 0.2, 0.2), days(0.3, 0.2, 0.2))]).iloc[0]
    assert row["iqm"] == pytest.approx(0.2)  # of two contracts and two folds: 0.1, 0.1, 0.3, 0.3
    assert np.isnan(row["iqm_low"])
    assert np.isnan(row["iqm_high"])


def test_the_mean_of_two_accounts_is_not_called_interquartile():
    row = policies_table([an_agent(days(0.1, 0.2, 0.2))]).loc[("BTC", "long", "agent")]
    assert row["accounts"] == 2
    assert np.isnan(row["iqm"])


def test_untrained_choices_are_counted_in_the_policies_and_the_seeds():
    # of two folds, one chose the weights before any training and one those after 20,000 decisions
    one = an_agent(days(0.1, 0.2, 0.2))
    row = policies_table([one]).loc[("BTC", "long", "agent")]
    assert (row["trained_decisions"], row["untrained"]) == (10_000.0, 0.5)
    assert seeds_table([one])["untrained"].tolist() == [0.5]
    assert seeds_table([one]).index.get_level_values("seed").tolist() == [7]  # as the study names it
    assert "50% of the trainings chose untrained weights" in policies_line("x", [one], policies_table([one]))
