"""Damaged experiments are read, or refused with a message that names the file."""

import pytest
import yaml
from hypothesis import given
from tests.fuzz.mutations import Refused, expect_result_or_message, fuzz, mutated_yaml

from gearing.studies import load_config
from gearing.studies.experiment import ExperimentConfig

STUDY = """\
# Which policy survives?
market: {generator: market-b, seed: 1, years: 2.5, bar: 1h, from: 2020-02-01, to: 2022-01-01, contracts: [BTCUSDT]}
folds: {train: 200d, validate: 60d, test: 60d, count: 1, window: rolling}
decision: {interval: 24h, direction: long, max_leverage: 20, margin_share: 0.1, rebalance: on_change}
exchange: {venue: bybit, slippage: {constant: 0.0002}, walk: extremes}
columns: [default, forecast]
forecast: {forecaster: har, horizon: 24h}
rules: {three: {rule: fixed, leverage: 3}, weighted: {rule: volatility_weighted, low: 2, high: 9}}
controls: [{control: stop_loss, margin: 0.3}, cool_down]
agents: {ppo: {base: weighted, columns: [default], steps: 1024, envs: 16, reward: log_growth, seeds: [1, 2]}}
seeds: 2
export: ppo
statistics: {baseline: three, replications: 200}
tracking: {enabled: false}
jobs: 2
"""
FORECAST = """\
kind: forecast
market: {years: 2.5, seed: 3}
models: {har: har, mine: {forecaster: ridge, pooled: true}}
choose_before: 2022-01-01
"""
SWEEP = """\
kind: sweep
market: {years: 3}
space: {rule: volatility_target, target: [1.0, 2.0], max_leverage: {low: 1.0, high: 8.0}}
search: random
n: 3
"""
REGRET = """\
kind: regret
market: {generator: market-a, variant: merton}
agents: [ppo]
train: {seed: 5000, years: 10.0}
"""
DOCUMENTS = [STUDY, FORECAST, SWEEP, REGRET]


def read(raw, folder):
    """The experiment in those bytes, or the message; what is read can be printed and read again."""
    path = folder / "damaged.yaml"
    path.write_bytes(raw)
    config = expect_result_or_message(lambda: load_config(path), [path])
    if isinstance(config, Refused):
        return config
    assert isinstance(config, ExperimentConfig)
    path.write_text(config.to_yaml(), encoding="utf-8")
    assert load_config(path).digest == config.digest
    return config


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("experiments")


@given(raw=mutated_yaml(yaml.safe_load(STUDY)))
@fuzz(inputs=150)
def test_a_damaged_study_is_read_or_refused_by_name(folder, raw):
    read(raw, folder)


@pytest.mark.slow
@pytest.mark.parametrize("text", DOCUMENTS)
def test_thousands_of_damaged_experiments_are_read_or_refused_by_name(folder, text):
    @given(raw=mutated_yaml(yaml.safe_load(text)))
    @fuzz(inputs=3000)
    def check(raw):
        read(raw, folder)

    check()
