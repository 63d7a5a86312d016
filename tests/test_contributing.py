"""Each example of CONTRIBUTING is one file that works by its name alone, in YAML and in Python."""

import importlib.util
import re
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest

import gearing
from gearing.contracts.venues import VENUES
from gearing.features.feature import FEATURES
from gearing.forecasters import Schedule, forecast_volatility_column
from gearing.forecasters.register import RECIPES
from gearing.policies.registry import RULES, make_rule
from gearing.simulation.rewards import REWARDS
from gearing.studies import load_config
from gearing.studies.experiment import KINDS

PAGE = (Path(__file__).resolve().parents[1] / "CONTRIBUTING.md").read_text()
EXAMPLES = dict(re.findall(r"### An? (\w+)\n\n```python\n(.*?)```", PAGE, flags=re.S))
REGISTERS = (RULES, FEATURES, RECIPES, REWARDS, VENUES, KINDS)


@pytest.fixture(scope="module")
def market():
    return gearing.synthetic_market("market-b", seed=3, years=0.4)


@pytest.fixture
def added(request, tmp_path):
    """Imports an example as the file it is; its name is forgotten after the test."""
    before = {name for register in REGISTERS for name in register.names()}
    path = tmp_path / f"added_{request.param}.py"
    path.write_text(EXAMPLES[request.param])
    spec = importlib.util.spec_from_file_location(path.stem, path)
    sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[path.stem])
    new = [(register, name) for register in REGISTERS for name in register.names() if name not in before]
    yield new[0][1]
    for register, name in new:
        register.remove(name)
    del sys.modules[path.stem]


def example(name):
    return pytest.mark.parametrize("added", [name], indirect=True)


def test_there_are_six_examples():
    assert set(EXAMPLES) == {"rule", "feature", "forecaster", "reward", "venue", "experiment"}


@example("rule")
def test_the_rule_is_played_by_its_name(added, market):
    result = gearing.backtest(make_rule({"rule": added, "leverage": 3.0}), market)
    assert result.ledger.turnover.sum() > 0.0


@example("feature")
def test_the_feature_is_a_column(added, market):
    values = gearing.FeatureSet([added]).compute(market).column(added)
    np.testing.assert_allclose(values, np.log(market.close / market.open), rtol=1e-5, atol=1e-7)


@example("forecaster")
def test_the_forecaster_is_walked_through_a_market(added, market):
    column = forecast_volatility_column(market, added, schedule=Schedule(first_train="60d"))
    assert np.isfinite(column.values[-1]).all()


@example("reward")
def test_the_reward_is_paid_by_the_environment(added, market):
    env = gymnasium.make("gearing/Perpetual-v0", market=market, reward=added, max_leverage=5.0)
    env.reset(seed=0)
    _, reward, _, _, info = env.step(env.action_space.high)  # the entry costs fees, whatever the price does
    growth = info["log_growth"]
    assert reward == pytest.approx(2.0 * growth if growth < 0.0 else growth)


@example("venue")
def test_the_venue_sets_the_fees(added, market):
    paid = {
        name: gearing.backtest(
            gearing.rules.FixedLeverage(1.0), market, venue=name, rebalance="never"
        ).ledger.fees.sum()
        for name in (added, "bybit")
    }
    assert paid[added] == pytest.approx(paid["bybit"] * 0.0002 / 0.00055, rel=0.01)


@example("experiment")
def test_the_experiment_is_shown_and_run(added, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(f"# What did it earn?\nkind: {added}\nmarket: {{years: 0.1}}\n")
    config = load_config(path, [f"output={tmp_path}", "tracking.enabled=false"])
    assert config.question == "What did it earn?"
    assert "generator: market-b" in config.to_yaml()
    with pytest.raises(ValueError, match="Did you mean 'market'"):
        load_config(path, ["markt.years=1"])
    done = gearing.run_study(path, [f"output={tmp_path}", "tracking.enabled=false"])
    assert np.isfinite(done.findings.tables["growth"].growth).all()
