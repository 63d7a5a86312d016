"""A bundle plays in the simulator as the policy that it was made from, also on other markets."""

from copy import deepcopy
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from tests.agents.own.models import COLUMNS, LEVELS, model
from tests.export.cases import SMALL, constant_graph, forecast_bundle, market, network_bundle, small_bundle

import gearing
from gearing.export import BundleError, BundlePolicy, export_bundle, load_bundle
from gearing.export.bundle.files import write_checksums
from gearing.export.playing import outside_training, overlap_with_training
from gearing.features import FeatureSet
from gearing.policies.controls import StopLoss
from gearing.policies.rules import FixedLeverage, VolatilityTarget


def policy_of(folder):
    return BundlePolicy(load_bundle(folder))


@pytest.mark.parametrize("direction", ["long", "short", "signal:momentum_side_30d"])
def test_a_rules_bundle_trades_as_the_rule_with_the_settings_it_was_made_for(direction, tmp_path):
    rule = VolatilityTarget(1.0, column="realized_volatility_24h")
    config = SMALL.with_(direction=direction, controls=(StopLoss(0.3),), decision_interval="12h")
    columns = ["realized_volatility_24h", *(["momentum_side_30d"] if ":" in direction else [])]
    small_bundle(tmp_path / "bundle", rule, config, columns)
    own = policy_of(tmp_path / "bundle")
    other = gearing.synthetic_market("market-b", seed=11, years=0.3)
    found = gearing.backtest(own, other, columns)
    expected = gearing.backtest(rule, other, columns, **own.settings)
    np.testing.assert_array_equal(found.equity, expected.equity)
    assert found.config.decision_interval == "12h"
    # Signed targets where the side is free.
    free = gearing.backtest(own, other, columns, direction="free")
    np.testing.assert_allclose(free.equity, expected.equity, rtol=1e-12)


def test_a_simulation_of_the_other_side_or_of_other_contracts_is_refused(tmp_path):
    small_bundle(tmp_path / "bundle", config=SMALL.with_(direction="short"))
    own = policy_of(tmp_path / "bundle")
    with pytest.raises(ValueError, match="trades short, and the simulation long"):
        gearing.backtest(own, market(), direction="long")
    two = gearing.synthetic_market("market-b", seed=3, years=0.1, contracts=("A", "B"))
    with pytest.raises(ValueError, match=r"decides for 1 contract .*, and the market has 2"):
        gearing.backtest(own, two, margin_share=0.2)


def variance_graph(variance):
    """ONNX graph that returns a variance for every row."""
    from onnx import TensorProto, helper

    zero, value = (
        helper.make_tensor(n, TensorProto.FLOAT, [1], [v]) for n, v in (("zero", 0.0), ("value", variance))
    )
    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["X", "zero"], ["nothing"]),
            helper.make_node("Add", ["nothing", "value"], ["variance"]),
        ],
        "constant",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["n", 1])],
        [helper.make_tensor_value_info("variance", TensorProto.FLOAT, ["n", 1])],
        [zero, value],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    ).SerializeToString()


def test_its_forecasts_are_those_of_its_own_forecaster(tmp_path):
    def own(variance):
        folder = forecast_bundle(tmp_path / f"bundle {variance}", variance)
        (folder / "forecaster.onnx").write_bytes(variance_graph(variance))
        write_checksums(folder)
        return policy_of(folder)

    table = own(0.0004).join(FeatureSet(["log_return"]).compute(market()))
    # sqrt(0.0004 x 365) a year, from the first bar whose inputs are there.
    values = table.column("forecast_volatility")
    assert np.isnan(values[0, 0])
    np.testing.assert_allclose(values[1:], np.sqrt(0.0004 * 365.0), rtol=1e-6)
    with pytest.raises(BundleError, match="negative variance"):
        own(-1.0).join(FeatureSet(["log_return"]).compute(market()))


def linear_graph():
    """ONNX graph of 3x, more after a rise, less where much is held, and never below 0."""
    from onnx import TensorProto, helper

    # log_return; effective leverage, ... of the position; of the account
    weights = [30.0, -0.5, 0.0, 0.0, 0.0, 0.0, 0.0]
    constants = [
        helper.make_tensor("weights", TensorProto.FLOAT, [7, 1], weights),
        helper.make_tensor("bias", TensorProto.FLOAT, [1], [3.0]),
    ]
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["observation", "weights", "bias"], ["raw"]),
            helper.make_node("Relu", ["raw"], ["target_leverage"]),
        ],
        "linear",
        [helper.make_tensor_value_info("observation", TensorProto.FLOAT, ["n", 7])],
        [helper.make_tensor_value_info("target_leverage", TensorProto.FLOAT, ["n", 1])],
        constants,
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    ).SerializeToString()


class OfGraph:
    """The graph's own answers to the simulator's observations, without the bundle's runtime."""

    action_scheme, required_columns = "target", ("log_return",)

    def __init__(self, content):
        import onnxruntime

        self.session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return self.session.run(None, {"observation": observation.array})[0], state


def test_a_networks_bundle_trades_as_its_graph_in_the_simulator(tmp_path):
    network_bundle(tmp_path / "bundle", 0.0)
    (tmp_path / "bundle" / "policy.onnx").write_bytes(linear_graph())
    write_checksums(tmp_path / "bundle")
    own = policy_of(tmp_path / "bundle")
    found = gearing.backtest(own, market())
    expected = gearing.backtest(OfGraph(linear_graph()), market(), ["log_return"], **own.settings)
    np.testing.assert_array_equal(found.target, expected.target)
    np.testing.assert_array_equal(found.equity, expected.equity)
    assert np.unique(found.target).size > 300  # a decision a day, nearly each another target


@pytest.mark.parametrize(("answer", "message"), [(np.nan, "is nan"), (np.inf, "is inf"), (99.0, "99")])
def test_an_answer_that_is_no_leverage_ends_the_run(answer, message, tmp_path):
    network_bundle(tmp_path / "bundle", answer)
    with pytest.raises((BundleError, ValueError), match=message):
        gearing.backtest(policy_of(tmp_path / "bundle"), market())


def test_a_graph_of_another_shape_is_refused(tmp_path):
    network_bundle(tmp_path / "bundle", 2.0)
    (tmp_path / "bundle" / "policy.onnx").write_bytes(constant_graph(2.0, inputs=5))
    write_checksums(tmp_path / "bundle")
    with pytest.raises(BundleError, match="does not run on this bundle's observation"):
        gearing.backtest(policy_of(tmp_path / "bundle"), market())


def test_copies_and_pickles_play_the_same(tmp_path):
    import pickle

    small_bundle(tmp_path / "bundle")
    own = policy_of(tmp_path / "bundle")
    again = pickle.loads(pickle.dumps(own))
    assert deepcopy(own) is own
    assert again.digest == own.digest
    expected = gearing.backtest(FixedLeverage(4.0), market(), **own.settings).equity
    np.testing.assert_array_equal(gearing.backtest(again, market()).equity, expected)


def test_data_outside_those_of_training_are_named_with_their_share(tmp_path):
    columns = ["realized_volatility_24h"]
    calm = market()
    rule = VolatilityTarget(1.0, column="realized_volatility_24h")
    small_bundle(tmp_path / "bundle", rule, SMALL, columns)
    own, table = policy_of(tmp_path / "bundle"), FeatureSet(columns).compute(calm)
    assert outside_training(own, table) == []
    low, high = own.manifest.seen.low[0], own.manifest.seen.high[0]
    # Every value 10 lower than in training: all of them are outside, by both measures.
    moved = FeatureSet(["log_return"]).compute(calm).join(
        "realized_volatility_24h", table.column("realized_volatility_24h") - 10.0, lower=-20.0, upper=20.0
    )  # fmt: skip
    notes = outside_training(own, moved)
    assert notes[0].startswith(
        "realized_volatility_24h: 100.0% of the bars outside what was seen in training"
    )
    assert f"{low:.4g} to {high:.4g}" in notes[0]
    assert "100.0% of the bars farther" in notes[1]
    assert overlap_with_training(own, calm.symbols, table) == []  # a rule is not trained
    trained = SimpleNamespace(manifest=replace(own.manifest, kind="network"))
    assert "not out of sample" in overlap_with_training(trained, calm.symbols, table)[0]
    assert overlap_with_training(trained, ("OTHER",), table) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ppo", "sac", "dqn", "maskable_ppo", "recurrent_ppo"])
def test_a_bundle_of_a_model_gives_the_models_equity_curve(name, tmp_path):
    from gearing.agents import from_sb3

    means = {"levels": LEVELS} if name in ("dqn", "maskable_ppo") else {"action": "target"}
    made = model(name)
    if means == {"action": "target"} and name in ("ppo", "recurrent_ppo"):
        made.policy.action_net.bias.data.fill_(3.0)  # an untrained one is at the bound, 0
    policy = from_sb3(made, COLUMNS, **means)
    table = FeatureSet(list(policy.required_columns)).compute(market())
    config = SMALL.with_(max_leverage=10.0, decision_interval="24h")
    folder = export_bundle(policy, tmp_path / "bundle", market=market(), table=table, config=config)
    own = policy_of(folder)
    expected = gearing.backtest(policy, market(), table, **own.settings)
    found = gearing.backtest(own, market(), table)
    np.testing.assert_allclose(found.equity, expected.equity, rtol=1e-6)
    assert expected.target.any() or name in ("dqn", "maskable_ppo")
    assert gearing.check_policy(own, market(), table).passed.all()
