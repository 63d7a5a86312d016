"""The study that compares agents with known optima: references where theory says, nothing done twice."""

import json
from copy import deepcopy

import numpy as np
import pandas as pd
import pytest

from gearing.agents import settings
from gearing.agents.scoring import Scorer
from gearing.evaluation.reports.tables import fitted
from gearing.market import synthetic_market
from gearing.market.oracle.bayes_filter import bayes_filter
from gearing.market.oracle.best_leverage import oracle_leverage, path_growth_of_targets
from gearing.simulation import Simulator
from gearing.studies import load_config
from gearing.studies.regret.config import RegretConfig
from gearing.studies.regret.run import Player, references
from gearing.studies.regret.tables import agent_table, agents_line, seed_table
from gearing.studies.runner import run_study
from gearing.studies.trials import Result

QUICK = {
    "kind": "regret",
    "name": "quick",
    "train": {"seed": 1, "years": 2.0},
    "validate": {"seed": 100, "years": 2.0},
    "test": {"seed": 200, "years": 20.0, "count": 2},
    "fixed": [0.5, 1.0],
    "seeds": 1,
    "agents": {
        "differentiable": {
            "algorithm": "differentiable",
            "settings": {
                "total_decisions": 2_000, "n_accounts": 32, "validate_every": 1_000, "episode": "20d",
                "network": {"layers": [4]}, "parameters": {"n_steps": 16},
            },
        }
    },
    "tracking": {"enabled": False},
}  # fmt: skip


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    output = str(tmp_path_factory.mktemp("regret"))
    return run_study(RegretConfig(**QUICK, output=output))


def test_the_simulators_oracle_earns_what_its_formula_says(quick):
    found = quick.findings.tables["references"]
    # Apart only by funding on the moved notional and the room for the fee of an order at the bound.
    assert found.loc["oracle by its formula", "score"] == pytest.approx(1.0, abs=0.02)
    assert 0.5 < found.loc["half of the oracle", "score"] < 0.95
    assert found.loc["best fixed", "score"] < 0.3


def test_as_an_act_it_shows_every_policy_by_its_share_of_the_oracles_growth(quick):
    shown = quick.findings.headline
    assert shown.table.loc["oracle", ["kind", "score"]].tolist() == ["oracle", 1.0]
    agent = quick.findings.tables["agents"].loc["differentiable"]
    assert shown.table.loc["differentiable", "score"] == agent.score
    assert shown.table["kind"].to_dict() == {
        "oracle": "oracle",
        "differentiable": "agent",
        "best fixed": "rule",
    }
    assert shown.table["score"].is_monotonic_decreasing
    assert max(map(len, fitted(shown.printed, 80).splitlines())) <= 80
    assert fitted(shown.printed, 80).count("policy") == 1  # one block of columns
    assert f"differentiable {agent.score:.2f}" in shown.line
    left, right = shown.figure.axes
    assert [label.get_text() for label in left.get_yticklabels()] == list(shown.table.index[::-1])
    assert "validation" in right.get_ylabel()


def test_a_rule_that_reads_what_is_not_shown_is_refused_when_the_experiment_is_read():
    with pytest.raises(ValueError, match=r"rules\.target reads forecast_volatility, which is not shown here"):
        RegretConfig(**QUICK, rules={"target": "volatility_target"})


@pytest.fixture(scope="module")
def costless():
    config = RegretConfig(
        **{
            **QUICK, "market": "market-b",
            "account": {"margin_share": 0.95, "max_leverage": 10.0 / 0.95, "ruin_fraction": 0.0},
        }
    )  # fmt: skip
    market, table = config.open(7, 1.0)
    return config, market, table


def test_without_costs_market_bs_oracle_earns_what_its_formula_says(costless):
    config, market, table = costless
    for name, part in (("oracle", 1.0), ("half_of_the_oracle", 0.5)):
        policy = references(config, market)[name]
        played = Scorer([market], [policy.join(table)], config.simulation())(policy)
        target = part * oracle_leverage(market)[1:, 0]
        # Apart by funding on the notional at the end of the hour instead of at its begin.
        formula = path_growth_of_targets(market, np.append(0.0, target), cost=0.0).sum()
        assert played == pytest.approx(formula, abs=0.02)
        assert abs(formula) > 0.2


def test_what_an_agent_is_shown_of_market_b_is_what_its_oracle_reads(costless):
    _, market, table = costless
    drift, volatility, funding = table.values[:-2, 0].T  # the last rate settles where the market ends
    truth = {name: market.truth[name][1:-1, 0] for name in ("drift", "variance", "funding")}
    np.testing.assert_allclose(drift, truth["drift"], rtol=1e-6)
    np.testing.assert_allclose(volatility**2, truth["variance"], rtol=1e-5)
    np.testing.assert_allclose(funding, truth["funding"], rtol=1e-6)
    settles = market.settlements["time"][1:] - market.bar  # the rate settles at the close of its bar
    paid = np.isin(market.open_time[1:-1], settles)
    assert (funding[paid] != 0.0).any()
    assert not funding[~paid].any()


def test_market_b_is_played_without_costs_and_market_a_with_its_own(costless):
    config, market, table = costless
    found = Simulator(market, table, config.simulation()).kernel_contracts
    assert [found[name].max() for name in ("taker_fee", "maker_fee", "tick_size", "lot_size")] == [0.0] * 4
    assert config.simulation().slippage.constant == 0.0
    other = RegretConfig(**QUICK)
    assert Simulator(*other.open(7, 1.0), other.simulation()).kernel_contracts["taker_fee"].min() == 5e-4


def test_the_bayes_filter_is_the_reference_where_the_state_is_hidden(tmp_path):
    hidden = QUICK | {
        "shown": "prices", "columns": ["log_return", "predicted_rate"], "output": str(tmp_path),
        "test": {"seed": 200, "years": 20.0, "count": 1},
    }  # fmt: skip
    found = run_study(RegretConfig(**hidden)).findings.tables["references"]
    market = synthetic_market("market-a", seed=200, years=20.0)
    row = found.loc["Bayes filter by its formula"]
    assert row["growth"] == pytest.approx(bayes_filter(market).growth.sum() / 20.0)
    assert row["score"] == pytest.approx(row["growth"] / found.loc["oracle", "growth"])


def test_scores_are_growth_over_the_oracles_on_the_same_paths(quick):
    agents, seeds = quick.findings.tables["agents"], quick.findings.tables["seeds"]
    (oracle,) = (np.load(path)["growth"] for path in quick.folder.glob("trials/oracle-*/growth.npz"))
    (mine,) = (np.load(path)["growth"] for path in quick.folder.glob("trials/differentiable-0-*/growth.npz"))
    assert seeds.loc[("differentiable", 0), "score"] == pytest.approx(mine.sum() / oracle.sum())
    assert agents.loc["differentiable", "score"] == pytest.approx(mine.sum() / oracle.sum())
    references = quick.findings.tables["references"]
    assert references.loc["oracle", "growth"] == pytest.approx(oracle.sum() / 40.0)
    assert references.loc["oracle", "error"] > 0.0


def test_tables_and_line_say_how_long_the_chosen_weights_were_trained(quick):
    agents, seeds = quick.findings.tables["agents"], quick.findings.tables["seeds"]
    (summary,) = quick.folder.glob("trials/differentiable-0-*/summary.json")
    chosen = json.loads(summary.read_text())["summary"]["best_decisions"]
    assert seeds.loc[("differentiable", 0), "trained_decisions"] == chosen
    assert agents.loc["differentiable", "trained_decisions"] == chosen
    assert agents.loc["differentiable", "untrained"] == float(chosen == 0)
    assert "worst_seed" in quick.summary  # a column of the agents' table alone
    assert "1 rows in" not in (quick.folder / "report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("decisions", "untrained", "text"),
    [
        ([500, 0], 0.5, "(2 seeds, 1 untrained)"),
        ([0, 0], 1.0, "(2 seeds, untrained)"),
        ([500, 500], 0.0, "(2 seeds)"),
    ],
)
def test_weights_before_any_training_are_called_untrained(quick, decisions, untrained, text):
    # the same trial twice, of which validation chose other weights
    (folder,) = quick.folder.glob("trials/differentiable-0-*")
    (oracle,) = quick.folder.glob("trials/oracle-*")
    read = [json.loads((one / "summary.json").read_text())["summary"] for one in (folder, oracle)]
    known = Result(Player("oracle"), oracle, read[1], "", True)
    trained = [
        Result(Player("differentiable", seed), folder, read[0] | {"best_decisions": chosen}, "", True)
        for seed, chosen in enumerate(decisions)
    ]
    table = agent_table(seed_table(quick.config, trained, known))
    assert table.loc["differentiable", "untrained"] == untrained
    assert text in agents_line(quick.config, table)


def test_a_second_run_trains_and_plays_nothing(quick):
    before = {path: path.stat().st_mtime_ns for path in quick.folder.rglob("*.npz")}
    again = run_study(quick.config)
    assert {path: path.stat().st_mtime_ns for path in quick.folder.rglob("*.npz")} == before
    pd.testing.assert_frame_equal(again.findings.tables["seeds"], quick.findings.tables["seeds"])


def test_more_seeds_and_agents_leave_a_trial_what_it_was(quick):
    trial = Player("differentiable", 0)
    more = RegretConfig(**{**QUICK, "seeds": 5, "agents": {**QUICK["agents"], "ppo": "ppo"}})
    assert trial.settings(more) == trial.settings(quick.config)
    assert Player("oracle").settings(more) == Player("oracle").settings(quick.config)


def test_other_settings_of_a_task_are_another_trial(monkeypatch):
    # A task's settings ship with the package: retuned ones must not be taken for what trained before.
    trial = Player("ppo", 0)
    config = RegretConfig(**QUICK | {"agents": {"ppo": {"algorithm": "ppo", "task": "market_a_full"}}})
    before = trial.settings(config)
    shipped = settings.shipped_settings("ppo")
    shipped["tasks"]["market_a_full"]["total_decisions"] += 1
    monkeypatch.setattr(settings, "shipped_settings", lambda name: deepcopy(shipped))
    assert trial.settings(config) != before


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("market=crash", "no market with an oracle 'crash'"),
        ("market={generator: market-a, variant: mertn}", "Did you mean 'merton'?"),
        ("account.max_levrage=3", "account: no field 'max_levrage'. Did you mean 'max_leverage'?"),
        ("columns=[log_retrn]", "columns.0: no column 'log_retrn'"),
        ("agents=[pppo]", "agents.pppo: no agent 'pppo'. Did you mean 'ppo'?"),
        ("test.count=10001", "test.count: 10001 is refused: it must be at most 10000"),
        ("seeds=10001", "seeds: 10001 is refused: it must be at most 10000"),
        ("agents={a: {algorithm: ppo, seds: 1}}", "agents.a: no field 'seds'. Did you mean 'seeds'?"),
    ],
)
def test_names_are_checked_before_anything_is_generated(override, message):
    with pytest.raises(ValueError) as refused:
        load_config(QUICK, [override])
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("columns=[log_return, forecast]", "columns: forecast cannot be computed from prices and funding of"),
        (
            "agents={a: {algorithm: ppo, columns: [log_retrn]}}",
            "agents.a.columns: no column 'log_retrn'. Did",
        ),
        ("search.space={columns: [[market], [log_retrn]]}", "search.space.columns.1: no column 'log_retrn'"),
        ("search.settings={columns: [drift]}", "search.settings.columns: no column 'drift'"),  # not shown
    ],
)
def test_columns_that_are_not_shown_are_refused_before_anything_is_generated(override, message):
    search = {"space": {"averaging": [0.0, 0.9]}}
    shown = {**QUICK, "shown": "prices", "columns": ["log_return"], "search": search}
    assert load_config(shown).shown_columns == ("log_return",)
    with pytest.raises(ValueError) as refused:
        load_config(shown, [override])
    assert message in str(refused.value)


def test_a_column_that_the_market_lacks_is_refused_before_anything_is_trained(tmp_path):
    search = {"trials": 1, "space": {"averaging": [0.0, 0.9]}}
    given = {"shown": "prices", "columns": ["implied_volatility"], "search": search, "output": str(tmp_path)}
    with pytest.raises(ValueError, match="columns: feature 'implied_volatility' needs implied_volatility"):
        run_study(RegretConfig(**{**QUICK, **given}))


def test_markets_that_train_and_test_on_the_same_paths_are_refused():
    with pytest.raises(ValueError, match=r"train has the market seeds 190 to 201, test .* share paths"):
        RegretConfig(**{**QUICK, "seeds": 12, "train": {"seed": 190, "years": 2.0}})
