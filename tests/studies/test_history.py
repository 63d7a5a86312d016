"""Tables of agents on history: twins, windows and drawdowns whose answers are worked out by hand; pooled contracts."""

import numpy as np
import pytest
from tests.features.markets import random_market

from gearing.features import FeatureSet
from gearing.features.leakage import rewrite_future
from gearing.simulation import SimulationConfig, Simulator
from gearing.studies.history_columns import column_names, column_table
from gearing.studies.history_config import HistoryConfig
from gearing.studies.history_learning import as_one_contract
from gearing.studies.history_tables import largest_drawdown, share_of_windows, twin_growth


def test_the_twin_lies_between_the_fixed_leverages_that_were_played():
    leverage, growth = np.array([0.0, 1.0, 2.0]), np.array([[0.0, 0.0], [0.1, -0.1], [0.15, -0.25]])
    np.testing.assert_allclose(twin_growth(leverage, growth, 1.5), [0.125, -0.175])
    np.testing.assert_allclose(twin_growth(leverage, growth, 0.0), [0.0, 0.0])
    np.testing.assert_allclose(twin_growth(leverage, growth, 9.0), growth[2])  # no more than the largest


def test_a_liquidation_touches_every_window_of_30_days_that_holds_it():
    day = np.datetime64("2024-01-01") + np.arange(60)
    hits = np.zeros(60)
    hits[40] = 1
    # windows begin on days 0 .. 30; those from day 11 on hold day 40: 20 of 31
    assert share_of_windows({"time": day, "liquidations": hits}) == pytest.approx(20 / 31)
    assert share_of_windows({"time": day, "liquidations": 0 * hits}) == 0.0


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
