"""Every name in an experiment is checked when the file is read: what does not exist is refused with the nearest."""

from pathlib import Path

import pytest

import gearing
from gearing.features import forget_feature
from gearing.forecasters.register import RECIPES, forecaster
from gearing.policies.registry import RULES, make_rule
from gearing.simulation.rewards import REWARDS, LogGrowth
from gearing.studies import load_config
from gearing.studies.fields import Moment, Section
from gearing.studies.forecasters import Forecast
from gearing.studies.rules_and_agents import Agent, Control, Rule
from gearing.studies.sections import Market

EXPERIMENTS = sorted((Path(__file__).resolve().parents[2] / "experiments").glob("*.yaml"))
STUDY = {"name": "x", "rules": ["fixed_3x"], "agents": {"a": {"base": "tiered"}}}
FORECASTS = {"name": "x", "models": ["har", "ridge"]}
SWEEP = {"name": "x", "kind": "sweep", "space": {"rule": "fixed", "leverage": [1.0]}}
CASES = {"name": "x", "kind": "case_study", "market": {}, "rules": ["fixed_10x"]}
METHODS = {"name": "x", "kind": "methods", "market": {}, "rules": ["fixed_5x"]}

MISSPELT = [
    (STUDY, "market.venue=binance-umm", "market: no venue 'binance-umm'. Did you mean 'binance-um'?"),
    (STUDY, "market=market-c", "market: no synthetic market 'market-c'. Did you mean 'market-b'?"),
    (STUDY, "market.sede=3", "market: no field 'sede'. Did you mean 'seed'?"),
    (STUDY, "market.jump_a_year=3.0", "market: no field 'jump_a_year'. Did you mean 'jumps_a_year'?"),
    (STUDY, "market={generator: market-a, variant: zero-drif}", "Did you mean 'zero-drift'?"),
    (STUDY, "market={generator: crash, scenario: gapp}", "no crash scenario 'gapp'. Did you mean 'gap'?"),
    (STUDY, "exchange.venue=bybt", "exchange.venue: no venue 'bybt'. Did you mean 'bybit'?"),
    (STUDY, "exchange.venue=nonsense", "exchange.venue: no venue 'nonsense'"),
    (STUDY, "exchange.fee_level=vip99", "exchange: no fee level 'vip99'"),
    (STUDY, "agents.a.algorithm=pppo", "agents.a: no agent 'pppo'. Did you mean 'ppo'?"),
    (STUDY, "agents.a.task=daily_histry", "Did you mean 'daily_history'?"),
    (STUDY, "agents.a.total_decision=3", "agents.a: no field 'total_decision'. Did you mean 'total_decisions'?"),
    (STUDY, "agents.a.parameters={lerning_rate: 1}", "agents.a: ppo has no parameter 'lerning_rate'"),
    (STUDY, "agents.a.network={layrs: [3]}", "ppo has no network setting 'layrs'. Did you mean 'layers'?"),
    (STUDY, "agents.a.parameters={learning_rate: fast}", "agents.a: ppo: parameters.learning_rate is 'fast'"),
    (STUDY, "agents.a.network={layers: 32}", "agents.a: ppo: network.layers is 32; it must be a list of layer"),
    (STUDY, "agents.a.network={activation: foo}", "agents.a: network activation is 'foo'; it must be one of tanh"),
    (STUDY, "agents.a={algorithm: sac, base: tiered, parameters: {gama: 1}}", "Did you mean 'gamma'?"),
    (STUDY, "agents.a.columns=[log_retrn]", "agents.a.columns.0: no column 'log_retrn'. Did you mean 'log_return'?"),
    (STUDY, "agents.a.columns=[defalt]", "agents.a.columns.0: no column 'defalt'. Did you mean 'default'?"),
    (STUDY, "agents.a.reward=log_grwth", "agents.a.reward: no reward 'log_grwth'. Did you mean 'log_growth'?"),
    (STUDY, "agents.a.action=residul", "agents.a.action: no action scheme 'residul'. Did you mean 'residual'?"),
    (STUDY, "agents.a.base=tierd", "agents.a.base: no rule 'tierd'. Did you mean 'tiered'?"),
    (STUDY, "columns=[defalt]", "columns.0: no column 'defalt'. Did you mean 'default'?"),
    (STUDY, "agents.a.pretrain={generator: market-c}", "agents.a.pretrain: no synthetic market 'market-c'"),
    (STUDY, "statistics.baseline=typo", "statistics.baseline: no policy 'typo'. Known: fixed_3x, a."),
    (STUDY, "statistics.baseline=fixd_3x", "statistics.baseline: no policy 'fixd_3x'. Did you mean 'fixed_3x'?"),
    (STUDY, "overlay=[stop_los]", "overlay.0: no control 'stop_los'. Did you mean 'stop_loss'?"),
    (STUDY, "directions={d: signal:momentum_sid_30d}", "directions.d: no column 'momentum_sid_30d'"),
    (STUDY, "excursions=har_dw", "excursions.forecaster: no forecaster 'har_dw'. Did you mean 'har_dow'?"),
    (STUDY, "agents.a.controls=[stop_los]", "agents.a.controls.0: no control 'stop_los'"),
    (STUDY, "forecast=har_dw", "forecast.forecaster: no forecaster 'har_dw'. Did you mean 'har_dow'?"),
    (STUDY, "forecast={forecaster: ridge, alpha: [1.0]}", "forecast: no field 'alpha'. Did you mean 'alphas'?"),
    (STUDY, "seeds=99999999999999999999", "seeds: 99999999999999999999 is refused: it must be at most 10000"),
    (STUDY, "agents.a.seeds=10001", "agents.a.seeds: 10001 is refused: it must be at most 10000"),
    (STUDY, "export=b", "export: no agent or rule 'b'"),
    (STUDY, "controls=[{control: stop_loss, margn: 1}]", "controls.0: control 'stop_loss' has no parameter 'margn'"),
    (STUDY, "rules=[tierd]", "rules.tierd: no rule 'tierd'. Did you mean 'tiered'?"),
    (STUDY, "rules={t: {rule: volatility_target, colum: x}}", "rules.t: rule 'volatility_target' has no parameter"),
    (STUDY, "rules={t: {rule: volatility_target, column: realized_volatilty_7d}}", "'realized_volatility_7d'?"),
    (STUDY, "rules={t: {rule: volatility_target, target: much}}", "target is 'much'; it must be float"),
    (STUDY, "decision.direction=signal:momentum_sid_30d", "Did you mean 'momentum_side_30d'?"),
    (STUDY, "decision.direction=shrt", "decision.direction: no direction 'shrt'"),
    (FORECASTS, "models=[har, rige]", "models.rige.forecaster: no forecaster 'rige'. Did you mean 'ridge'?"),
    (FORECASTS, "reference=rige", "reference 'rige' must be one of the models. Did you mean 'ridge'?"),
    (FORECASTS, "excursions={forecaster: rige}", "excursions.forecaster: no forecaster 'rige'"),
    (SWEEP, "space.rule=fixd", "no rule 'fixd'. Did you mean 'fixed'?"),
    (SWEEP, "space.levrage=[1.0]", "rule 'fixed' has no parameter 'levrage'. Did you mean 'leverage'?"),
    (SWEEP, "space={rule: volatility_target, column: [realized_volatility_24h, realized_volatilty_7d]}",
     "no column 'realized_volatilty_7d'. Did you mean 'realized_volatility_7d'?"),
    (SWEEP, "decision.rebalance=sometimes", "decision.rebalance: rebalance is 'sometimes'; it must be one of"),
    (CASES, "baseline=fixd_10x", "baseline: not among the rules: 'fixd_10x'. Did you mean 'fixed_10x'?"),
    (CASES, "directions={a: sideway}", "directions.a: no direction 'sideway'"),
    (CASES, "rebalancing=[never, sometimes]", "rebalancing.1: rebalance is 'sometimes'"),
    (METHODS, "traders=[fixed_9x]", "traders: not among the rules: 'fixed_9x'. Did you mean 'fixed_5x'?"),
    (CASES, "rules=[tierd]", "rules.tierd: no rule 'tierd'. Did you mean 'tiered'?"),
]  # fmt: skip


@pytest.mark.parametrize(("values", "override", "message"), MISSPELT, ids=[row[1] for row in MISSPELT])
def test_a_name_that_does_not_exist_is_refused_with_its_place_and_the_nearest(values, override, message):
    with pytest.raises(ValueError) as refused:
        load_config(values, [override])
    assert message in str(refused.value)


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_shipped_experiment_is_clean_and_its_print_runs_again(path, tmp_path):
    config = load_config(path)
    again = tmp_path / "again.yaml"
    again.write_text(config.to_yaml())
    assert load_config(again) == config
    assert load_config(again).digest == config.digest


@pytest.mark.parametrize(
    ("section", "short", "long"),
    [
        (Rule, "tiered", {"rule": "tiered"}),
        (Control, "cool_down", {"control": "cool_down"}),
        (Agent, {"algorithm": "ppo", "base": "tiered", "patience": 3},
         {"algorithm": "ppo", "base": "tiered", "settings": {"patience": 3}}),
        (Forecast, "ridge", {"forecaster": "ridge", "settings": {}}),
        (Market, {"generator": "market-a", "variant": "merton"},
         {"generator": "market-a", "settings": {"variant": "merton"}}),
    ],
)  # fmt: skip
def test_a_named_thing_is_a_name_or_its_name_and_settings_whatever_it_is(section, short, long):
    made = section.model_validate(short)
    assert made == section.model_validate(long)
    assert section.model_validate(made.model_dump()) == made
    assert next(iter(made.model_dump())) == section.named_by


def test_a_setting_called_like_a_field_stays_among_the_settings():
    agent = Agent(algorithm="ppo", base="tiered", settings={"columns": ["log_return"]})
    assert agent.columns is None
    assert Agent.model_validate(agent.model_dump()) == agent


def _no_returns(market):
    return market.close * 0.0


@pytest.fixture
def registered():
    """A feature, a reward, a forecaster and a rule of a user's own."""
    gearing.feature(unit="log", lower=-1, upper=1, source="test", lookback="1bar", name="own_feature")(
        _no_returns
    )
    RULES.add("own_rule", type(make_rule("tiered")))
    REWARDS.add("own_reward", LogGrowth)
    RECIPES.add("own_forecaster", forecaster("har"), source=LogGrowth)
    yield
    forget_feature("own_feature")
    for register, name in ((RULES, "own_rule"), (REWARDS, "own_reward"), (RECIPES, "own_forecaster")):
        register.remove(name)


@pytest.mark.parametrize(
    "override",
    [
        "rules=[own_rule]", "agents.a.reward=own_reward", "agents.a.columns=[own_feature]", "forecast=own_forecaster",
        "decision.direction=signal:own_feature",
    ],
)  # fmt: skip
def test_names_that_a_user_registered_exist(registered, override):
    load_config(STUDY, [override])
    with pytest.raises(ValueError, match="own_"):
        load_config(STUDY, [override.replace("own_", "my_own_")])


class Span(Section):
    at: Moment


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("2025-01-31", "2025-01-31"), ("2025-01-31T00:00Z", "2025-01-31"), ("2025-01-31 08:00", "2025-01-31T08:00"),
        ("2025-01-31T08:00+02:00", "2025-01-31T06:00"), ("31.01.2025", "2025-01-31"), ("2025-01", "2025-01-01"),
        ("1738310400000", "2025-01-31T08:00"),  # 20,119 days and 8 hours after 1970
    ],
)  # fmt: skip
def test_a_moment_is_printed_one_way_however_it_was_written(given, canonical):
    assert Span(at=given).at == canonical
    assert Span(at=canonical).at == canonical


@pytest.mark.parametrize("given", ["02/03/2025", "1969-12-31", "", "someday"])
def test_a_moment_of_two_readings_or_of_none_is_refused(given):
    with pytest.raises(ValueError, match=r"read with the day|outside the years|is empty|is not a date"):
        Span(at=given)
