"""An experiment file means what it says, prints back whole, and is refused where it cannot mean anything."""

import numpy as np
import pytest
import yaml

from gearing.studies import StudyConfig, load_config
from gearing.studies.study.config import load_study

EXPERIMENT = """\
# Does a volatility forecast help PPO choose leverage? Same agent, with and without the column.
market:   {folder: data, contracts: [BTCUSDT], bar: 1h, from: 2020-01-01, to: 2025-06-30}
folds:    {train: 365d, validate: 90d, test: 90d, window: expanding}
decision: {interval: 24h, direction: long, margin_share: 0.1}
agents:
  with_forecast:    {action: residual, base: volatility_weighted, columns: [default, forecast]}
  without_forecast: {action: residual, base: volatility_weighted, columns: [default]}
rules:    [fixed_3x, tiered, volatility_weighted]
seeds:    10
"""


@pytest.fixture
def path(tmp_path):
    place = tmp_path / "btc.yaml"
    place.write_text(EXPERIMENT)
    return place


def refusal(path, *overrides):
    with pytest.raises(ValueError) as refused:
        load_config(path, overrides)
    return str(refused.value)


def test_an_experiment_is_read_as_written_and_the_rest_is_default(path):
    config = load_config(path)
    assert config.name == "btc"
    assert config.question.startswith("Does a volatility forecast help")
    assert config.market.symbols == ["BTCUSDT"]
    assert config.decision.margin_share == 0.1
    assert list(config.agents) == ["with_forecast", "without_forecast"]
    assert config.rules["fixed_3x"].rule == "fixed_3x"
    assert config.seeds_of("with_forecast") == list(range(10))
    assert config.simulation().rebalance == "every_decision"


def test_what_is_printed_runs_again_and_is_the_same_experiment(path, tmp_path):
    config = load_config(path, ["forecast.refit=7d", "agents.with_forecast.episode_length=null"])
    again = tmp_path / "again.yaml"
    again.write_text(config.to_yaml())
    assert load_config(again) == config
    assert load_config(again).digest == config.digest


def test_an_absent_forecast_stays_absent_when_printed(path, tmp_path):
    config = load_config(path, ["forecast=null", "agents={}", "export=null"])
    again = tmp_path / "again.yaml"
    again.write_text(config.to_yaml())
    assert load_config(again).forecast is None


def test_every_default_is_printed(path):
    printed = yaml.safe_load(load_config(path).to_yaml())
    assert printed["exchange"]["liquidation_series"] == "mark"
    assert printed["agents"]["with_forecast"]["reward"] == "log_growth"


def test_an_override_is_a_yaml_value_at_a_dotted_key(path):
    config = load_config(
        path, ["market.contracts=[ETHUSDT, BTCUSDT]", "seeds=[5, 6]", "decision.max_leverage=5"]
    )
    assert config.market.contracts == ["ETHUSDT", "BTCUSDT"]
    assert config.seeds_of("with_forecast") == [5, 6]
    assert config.simulation().max_leverage == 5.0


def test_an_override_replaces_what_stood_there_whatever_it_was(path):
    spelled = "rules={careful: {rule: volatility_weighted, settings: {low: 1, high: 2}}}"
    assert list(load_config(path, [spelled]).rules) == ["careful"]


def test_the_environment_can_name_the_folder(path, monkeypatch):
    monkeypatch.setenv("GEARING_DATA", "elsewhere")
    assert load_config(path, ["market.folder=${oc.env:GEARING_DATA,data}"]).market.folder == "elsewhere"


def test_an_unknown_key_is_refused_with_file_line_section_and_the_nearest(path):
    path.write_text(EXPERIMENT.replace("margin_share", "margin_shar"))
    assert refusal(path) == f"{path}, line 4, decision: no field 'margin_shar'. Did you mean 'margin_share'?"


def test_an_unknown_key_deep_inside_an_agent_is_refused_the_same_way(path):
    path.write_text(EXPERIMENT.replace("columns: [default]}", "algoritm: ppo}"))
    assert "agents.without_forecast: no field 'algoritm'. Did you mean 'algorithm'?" in refusal(path)


def test_a_value_is_refused_with_the_line_of_the_last_part_of_its_place_that_the_file_has(path):
    path.write_text(EXPERIMENT.replace("tiered, volatility_weighted]", "tiered,\n  volatility_weightd]"))
    assert refusal(path).startswith(f"{path}, line 9, rules.volatility_weightd: no rule")  # a list of names
    path.write_text(EXPERIMENT.replace("[default, forecast]", "[default,\n  forcast]"))
    assert refusal(path).startswith(f"{path}, line 7, agents.with_forecast.columns.1: no column 'forcast'")
    path.write_text(EXPERIMENT.replace("fixed_3x, ", "fixed_3x, with_forecast, "))
    lines = refusal(path, "seeds=0").splitlines()
    assert any(line.startswith("override seeds=0, seeds") for line in lines)


def test_an_unknown_section_is_refused(path):
    assert refusal(path, "marke.bar=1h") == "override marke.bar=1h: no field 'marke'. Did you mean 'market'?"


def test_all_mistakes_are_reported_at_once(path):
    assert len(refusal(path, "decision.margin_share=2", "market.bar=soon", "seeds=0").splitlines()) == 3


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "decision.margin_share=2",
            "decision.margin_share: 2 is refused: it must be at most 1",
        ),
        ("market.years=1e18", "market.years: 1e+18 is refused: it must be at most 10000"),
        ("decision.margin_share=[0.5, 2]", "decision.margin_share.1: 2 is refused"),
        ("decision.margin_share=[0.6, 0.6]", "sum to at most 1"),
        ("decision.interval=90m", "not a multiple of market.bar 1h"),
        ("decision.rebalance=sometimes", "one of every_decision, on_change, never, or band"),
        ("decision.direction=sideways", "long, short, free or signal:COLUMN"),
        ("market.bar=soon", "is not a duration"),
        ("market.from=someday", "is not a date"),
        ("market.from=2025-07-01", "from 2025-07-01 is not before to 2025-06-30"),
        ("seeds=[]", "at least 1 item"),
        ("seeds=true", "seeds: True is refused"),
        ("agents.with_forecast.base=null", "'residual' scales the leverage of a rule: name it"),
        ("agents.with_forecast.base=volatility_weightd", "Did you mean 'volatility_weighted'?"),
        ("agents.with_forecast.reward=fame", "no reward 'fame'"),
        ("agents.with_forecast.steps=1.5", "steps: 1.5 is refused"),
        ("rules=[volatility_weightd]", "Did you mean 'volatility_weighted'?"),
        ("rules=[with_forecast]", "no rule 'with_forecast'"),
        ("forecast=null", "agents with_forecast read the column 'forecast', and forecast is null"),
        ("export=nobody", "export: no agent or rule 'nobody'. Known: with_forecast, without_forecast"),
        ("decision.max_leverage=151", "exceeds"),
        ("seeds", "has no key or no '='"),
        ("rules.careful.rule=tiered", "does not fit what stands there"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_rule(path, override, message):
    assert message in refusal(path, override)


def test_an_override_at_fault_is_named_instead_of_the_file(path):
    assert refusal(path, "decision.margin_share=2").startswith("override decision.margin_share=2, decision")


def test_leverage_beyond_the_contracts_top_is_refused_before_data_is_read(path):
    message = refusal(path, "decision.max_leverage=199")
    assert "max_leverage 199 exceeds 150, the most that BTCUSDT allows. Set it to 150 or less." in message


@pytest.mark.parametrize(
    ("spans", "overlap"),
    [
        (("2020-01-01", "2022-01-01", "2021-12-31", "2022-06-01", "2022-06-01", "2023-01-01"), "train"),
        (("2020-01-01", "2022-01-01", "2022-01-01", "2022-06-01", "2022-05-31", "2023-01-01"), "validate"),
    ],
)
def test_a_test_period_that_touches_training_is_refused_before_data_is_read(path, spans, overlap):
    names = ("train", "validate", "test")
    split = {n: {"from": spans[2 * k], "to": spans[2 * k + 1]} for k, n in enumerate(names)}
    path.write_text(
        yaml.safe_dump({"split": split, "rules": ["fixed_3x"], "market": {"folder": "not there"}})
    )
    assert f"split: {overlap} (to {spans[names.index(overlap) * 2 + 1]}) overlaps" in refusal(path)


def test_time_is_cut_one_way_only(path):
    spans = {
        n: {"from": f"202{k}-01-01", "to": f"202{k + 1}-01-01"}
        for k, n in enumerate(("train", "validate", "test"))
    }
    with pytest.raises(ValueError, match="split or by folds, and both are given"):
        load_study({"name": "x", "rules": ["fixed_3x"], "split": spans, "folds": {"test": "30d"}})


def test_an_experiment_of_nothing_is_refused():
    with pytest.raises(ValueError, match="nothing to study"):
        load_study({"name": "x"})


def test_a_missing_file_is_refused_with_the_nearest(path):
    assert f"Did you mean {path}?" in refusal(path.with_name("btcc.yaml"))


@pytest.mark.parametrize(
    "text", ["market: {bar: 1h", "seeds: 1\nseeds: 2\n", "- a\n- b\n", "name: ${nowhere}\n"]
)
def test_a_file_that_is_no_mapping_of_sections_is_refused_by_name(path, text):
    path.write_text(text)
    assert refusal(path).startswith(str(path))


def test_two_experiments_differ_in_digest_where_their_results_can_differ(path):
    digest = load_config(path).digest
    assert load_config(path, ["decision.margin_share=0.2"]).digest != digest
    assert load_config(path, ["output=elsewhere", "statistics.replications=500"]).digest == digest


def test_a_study_of_a_generated_market_opens_it(tmp_path):
    config = load_study(
        {"name": "x", "rules": ["fixed_3x"], "market": {"years": 0.1, "seed": 3, "from": "2020-01-05"}}
    )
    market = config.market.open()
    assert market.n_contracts == 1
    assert market.open_time[0] == np.datetime64("2020-01-05")


def test_settings_are_those_that_the_simulator_knows(path):
    config = load_config(path, ["exchange.slippage.impact=1.0", "decision.mode=interval"])
    simulation = config.simulation(reward="mean_variance")
    assert (simulation.slippage.impact, simulation.reward) == (1.0, "mean_variance")


def test_nothing_changes_after_reading(path):
    with pytest.raises(ValueError, match="frozen"):
        load_config(path).seeds = 3
    assert isinstance(load_config(path), StudyConfig)


def test_controls_are_named_with_parameters_and_a_rule_may_have_its_own(path):
    controls = "controls=[cool_down,{control: stop_loss, margin: 0.4}]"
    config = load_config(path, [controls, "rules={a: {rule: fixed_3x}, b: {rule: fixed_3x, controls: []}}"])
    assert [type(one).__name__ for one in config.simulation("a").controls] == ["CoolDown", "StopLoss"]
    assert config.simulation("with_forecast").controls == config.simulation("a").controls
    assert config.simulation("a").controls[1].margin == 0.4
    assert config.simulation("b").controls == ()


def test_an_unknown_control_or_parameter_is_refused_with_the_nearest(path):
    assert "Did you mean 'stop_loss'?" in refusal(path, "controls=[stop_los]")
    assert "Did you mean 'margin'?" in refusal(path, "controls=[{control: stop_loss, margi: 0.4}]")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("rules={a: {rule: volatility_target, target: x}}", "target is 'x'; it must be float."),
        ("rules={a: {rule: volatility_target, column: 3}}", "column is 3; it must be str."),
        ("controls=[{control: funding_guard, limit: null}]", "limit is None; it must be float."),
        ("agents.with_forecast.clip=big", "clip is 'big'; it must be float."),
        ("agents.with_forecast.n_accounts=1.5", "n_accounts is 1.5; it must be int."),
        ("agents.with_forecast.baseline=x", "baseline is 'x'; it must be bool."),
        ("agents.with_forecast.randomise=[1]", "randomise is [1]; it must be Mapping"),
        ("agents.with_forecast.seeds=[1,1]", "holds something twice"),
        ("seeds=[-1]", "it must be at least 0"),
        ("agents.with_forecast.interval=90m", "is not a multiple of market.bar 1h"),
        ("decision.initial_equity=.inf", "finite"),
        ("groups={a: []}", "at least 1 item"),
        ("groups={a: [BTCUSDT, BTCUSDT]}", "holds something twice"),
        ("columns=[a", "override 'columns=[a' cannot be read"),
        ("rules.fixed_3x.controls[4]=stop_loss", "does not fit what stands there"),
        ("forecast.window=365d", "write window: rolling, length: 365d."),
        ("forecast.first_train=365d", "Did you mean 'train'?"),
        ("variant=zero-drift", "Write it next to the generator"),
    ],
)
def test_a_value_of_another_kind_is_refused_in_one_line_that_says_what_to_write(path, override, message):
    message_text = refusal(path, "market.contracts=null", override)
    assert message in message_text
    assert "\n" not in message_text


def test_a_baseline_that_does_not_play_every_direction_is_refused(path):
    directions = "directions={up: long, down: short}"
    limited = "agents.with_forecast.directions=[up]"
    message_text = refusal(path, directions, limited, "statistics.baseline=with_forecast")
    assert "'with_forecast' does not play down" in message_text
    assert "'with_forecast' does not play down" in refusal(path, directions, limited, "rules={}")
    assert load_config(path, [directions, limited]).baseline == "fixed_3x"


def test_a_file_in_another_encoding_is_refused_by_name_and_line(path):
    path.write_text("# Für wen?\nrules: [fixed_3x]\n", encoding="latin-1")
    assert refusal(path).startswith(f"{path}, line 1: byte 0xfc at position 3 is not UTF-8")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_an_encoding_with_a_byte_order_mark_is_read(path, encoding):
    path.write_text("# Für wen?\nrules: [fixed_3x]\n", encoding=encoding)
    assert load_config(path).question == "Für wen?"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("market: {years: 2\nrules: [tiered]\n", ", line 2, column 6: this is not YAML"),
        ("\tmarket: 2\n", ", line 1, column 1: this is not YAML"),
        ("rules: [tiered]\nname: ${missing}\n", ", name: what stands in ${...} cannot be filled in"),
        ("rules: {a: {rule: fixed, leverage: .nan}}\n", ", rules.a.leverage: nan is not a finite number"),
        ("- tiered\n", " holds a list; an experiment is a mapping"),
        ("", " holds nothing; an experiment is a mapping"),
    ],
)
def test_what_is_no_yaml_of_an_experiment_is_refused_by_place(path, text, place):
    path.write_text(text)
    assert refusal(path).startswith(f"{path}{place}")


def test_a_byte_order_mark_is_no_part_of_the_question(path):
    path.write_text(EXPERIMENT, encoding="utf-8-sig")
    assert load_config(path).question.startswith("Does a volatility forecast help")


def test_a_folder_is_no_experiment_file_and_not_suggested(tmp_path):
    (tmp_path / "a.yaml").mkdir()
    assert "Did you mean" not in refusal(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"kind": "sweep", "space": {"rule": "volatility_target", "target": [1.0, "x"]}},
            "space: target is 'x'",
        ),
        (
            {"kind": "sweep", "space": {"rule": "volatility_target", "target": []}},
            "target: the list of choices",
        ),
        ({"kind": "forecast", "models": ["har"], "excursions": {"model": "har"}}, "Write forecaster."),
        ({"kind": "regret", "agents": ["ppo"], "account": {"max_leverage": None}}, "account: "),
    ],
)
def test_other_kinds_refuse_such_values_too(values, message):
    with pytest.raises(ValueError, match=message):
        load_config({"name": "other", **values})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rules": ["fixed_1x"], "statistics": {"baseline": "typo"}}, "statistics.baseline: no policy 'typo'"),
        ({"rules": ["fixed_1x"], "exchange": {"fee_level": "VIP 99"}}, "no fee level"),
        # a level of another venue than the market's
        ({"rules": ["fixed_1x"], "market": {"folder": "x", "venue": "bybit-linear"}, "exchange": {"fee_level": "VIP9"}},
         "exchange.fee_level"),
        ({"rules": ["fixed_1x"], "decision": {"position_mode": "hedge"}}, "signed leverage for each leg"),
        ({"kind": "case_study", "rules": ["fixed_1x"], "market": {}}, "not among the rules: 'fixed_10x'"),
        ({"kind": "case_study", "rules": ["fixed_1x"], "market": {}, "baseline": "typo"}, "the rules: 'typo'"),
        ({"kind": "methods", "rules": ["fixed_1x"], "market": {}, "traders": ["typo"]}, "not among the rules: 'typo'"),
        ({"kind": "regret", "agents": ["differentiable"], "account": {"venue": "typo"}}, "typo"),
    ],
)  # fmt: skip
def test_a_name_that_nothing_has_is_refused_before_anything_runs(given, message):
    with pytest.raises(ValueError, match=message):
        load_config({"name": "x", **given})
