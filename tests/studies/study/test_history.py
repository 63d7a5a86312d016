"""Tables of agents on history: twins, windows and drawdowns whose answers are worked out by hand; pooled contracts."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from tests.features.markets import random_market

from gearing.features import FeatureSet
from gearing.features.leakage import rewrite_future
from gearing.simulation import SimulationConfig, Simulator
from gearing.studies.study.attribution import placebo, reasons_table
from gearing.studies.study.daily_results import (
    Days,
    Played,
    days_of,
    largest_drawdown,
    on_days,
    windows_with_liquidation,
)
from gearing.studies.study.history import Bench, Trial
from gearing.studies.study.history_columns import column_names, column_table
from gearing.studies.study.history_config import HistoryConfig
from gearing.studies.study.history_tables import history_table
from gearing.studies.study.learning import as_one_contract


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


def test_an_agent_that_asks_for_an_unknown_group_is_refused():
    given = {
        "name": "h",
        "market": {"folder": "nowhere"},
        "groups": {"BTC": ["BTCUSDT"]},
        "agents": {"one": {"algorithm": "ppo", "groups": ["ETH"]}},
    }
    with pytest.raises(ValueError, match="asks for 'ETH'; there are BTC"):
        HistoryConfig(**given)


def study(**given):
    return HistoryConfig(**{"name": "h", "market": {"folder": "nowhere"}, "groups": {"C0": ["C0"]}, **given})


SOON = {"sizes": [0.01, 0.02], "train": "60d", "curve": "30d"}


@pytest.mark.parametrize(
    ("directions", "names"),
    [
        ({"long": "long"}, ["touch_down_1", "touch_down_2"]),
        ({"short": "short"}, ["touch_up_1", "touch_up_2"]),
        ({"momentum": "signal:x"}, ["touch_down_1", "touch_down_2", "touch_up_1", "touch_up_2"]),
    ],
)
def test_excursions_are_those_that_the_directions_have_to_fear(directions, names):
    assert column_names(study(directions=directions, excursions=SOON), ["excursions"]) == names


def test_no_column_of_a_study_knows_what_comes_after_it():
    """Features, the forecast and the touch probabilities, up to a bar after which every price is another one."""
    market, row = random_market(24 * 200, n_contracts=1, seed=3), 24 * 160 + 7
    config = study(
        columns=["realized_volatility_24h", "forecast", "excursions"],
        forecast={"forecaster": "har", "train": "60d"},
        excursions=SOON,
    )
    before, after = (column_table(config, one) for one in (market, rewrite_future(market, row)))
    assert set(column_names(config, config.columns)) == set(before.columns)
    assert np.isfinite(before.values[before.first_complete : row + 1]).all()
    assert before.first_complete < row
    assert before.values[: row + 1].tobytes() == after.values[: row + 1].tobytes()
    for name in before.columns:
        assert not np.array_equal(before.column(name)[row + 48 :], after.column(name)[row + 48 :])


@pytest.mark.parametrize("column", ["forecast", "excursions"])
def test_a_forecast_that_the_study_does_not_make_is_refused(column):
    with pytest.raises(ValueError, match=f"{column} is null"):
        column_names(study(), [column])


N_DAYS, N_FOLDS = 60, 2


def days(growth, twin, level, **given):
    """What one seed did in two folds of 30 days; daily growths are constant."""
    each = np.ones((N_DAYS, 1)) / 365.0
    usual = {
        "growth": growth * each, "twin": twin * each, "level": level * each,
        "fold_growth": np.full((1, N_FOLDS), growth), "fold_twin": np.full((1, N_FOLDS), twin),
        "leverage": np.array([0.5]), "fees": np.array([-0.03]), "twin_fees": np.array([-0.01]),
        "funding": np.zeros(1), "liquidations": np.zeros(1), "windows": np.zeros((N_DAYS, 1)),
        "drawdown": np.zeros(1), "ruined": np.zeros(1), "replayed": np.full((1, N_FOLDS), 0.3),
        "shifted": np.tile([0.0, 0.1, 0.2, 0.5], (1, N_FOLDS, 1)), "validation": np.array([[0.4, 0.2]]),
        "chosen_at": np.array([[0, 20_000]]),
    }  # fmt: skip
    return Days(**{**usual, **given})


def an_agent(*contracts):
    return Played("BTC", "long", Trial("agent", "long", "BTC", 0, 0), list(contracts))


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


def test_moments_are_judged_against_the_same_leverages_at_other_moments():
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
        return replace(days(mean, 0.0, 0.0), growth=growth, twin=np.zeros_like(growth))

    rules = {"good": 3.0, "bad": -3.0, **{f"chance_{k}": 0.0 for k in range(8)}, "steady": 3.0}
    given = {name: {"rule": "fixed_3x" if name == "steady" else "tiered"} for name in rules}
    played = [
        Played("BTC", "long", Trial(name, "long", "BTC", 0), [noisy(mean)]) for name, mean in rules.items()
    ]
    verdict = history_table(study(rules=given), played).droplevel(["group", "direction"])["verdict"]
    assert verdict["good"] == "better"
    assert verdict["bad"] == "worse"
    assert set(verdict.filter(like="chance")) == {""}
    assert isinstance(verdict["steady"], float)
    assert np.isnan(verdict["steady"])


def test_other_settings_of_an_agent_have_another_folder_and_more_seeds_have_not():
    def tag(**agent):
        config = study(agents={"one": {"algorithm": "differentiable", **agent}})
        return Bench.tag(SimpleNamespace(config=config), "one")

    plain = tag()
    assert tag(seeds=3, groups=["C0"]) == plain
    assert tag(choose=False) != plain
    assert tag(settings={"task": "daily_history"}) != plain  # what ships for a task counts


def test_days_outside_the_decisions_of_a_trial_are_flat():
    """A week's decisions from the third day on, in a span of ten days."""
    start = np.datetime64("2024-01-06T00:00", "ms")
    fold = {"time": np.array([start + np.timedelta64(2, "D")]), "growth": np.full(7, 0.01)}
    where = days_of(fold, (start, start + np.timedelta64(10, "D")))
    assert where == (2, 9, 10)
    np.testing.assert_array_equal(on_days(fold["growth"], *where), [0, 0, *[0.01] * 7, 0])
