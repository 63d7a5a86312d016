"""Networks of bundles: what they may read, and what they may answer."""

import math
import time

import numpy as np
import pytest
from tests.export import cases

from gearing.export import BundleError, load_bundle
from gearing.export.bundle.network import Network, checked_numbers

BARS = cases.bar_table(cases.market())
FLAT = {"equity": 10_000.0, "positions": {}}


def external_graph(where, depth=0):
    """A graph whose weight is stored in another file; ``depth``: inside as many branches."""
    from onnx import TensorProto, helper, numpy_helper
    from onnx.external_data_helper import set_external_data

    weight = numpy_helper.from_array(np.ones((1, 1), np.float32), "weight")
    set_external_data(weight, str(where), offset=0, length=4)
    weight.ClearField("raw_data")
    if depth:
        nodes, weights = [helper.make_node("Constant", [], ["target_leverage"], value=weight)], []
    else:
        nodes, weights = [helper.make_node("Identity", ["weight"], ["target_leverage"])], [weight]
    seen = helper.make_tensor_value_info("observation", TensorProto.FLOAT, ["n", 7])
    made = helper.make_tensor_value_info("target_leverage", TensorProto.FLOAT, [1, 1])
    graph = helper.make_graph(nodes, "g", [seen], [made], weights)
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    ).SerializeToString()


@pytest.mark.parametrize("depth", [0, 1])
def test_weights_in_other_files_are_refused(tmp_path, depth):
    (tmp_path / "weights.bin").write_bytes(np.float32(7.0).tobytes())
    with pytest.raises(BundleError, match="keeps weights in other files, which are not verified"):
        Network(external_graph(tmp_path / "weights.bin", depth), "policy.onnx")


@pytest.mark.parametrize(
    "content", [b"", b"\x00", b"not a graph", b"\xff" * 40, cases.constant_graph(1.0)[:-9]]
)
def test_what_is_no_graph_is_refused_in_one_line(content):
    with pytest.raises(BundleError, match=r"policy\.onnx (is no ONNX graph|cannot be opened)") as refused:
        Network(content, "policy.onnx")
    assert "\n" not in str(refused.value)


def test_a_graph_of_another_observation_is_refused():
    network = Network(cases.constant_graph(1.0, inputs=3), "policy.onnx")
    with pytest.raises(BundleError, match="does not run on this bundle's observation"):
        network.run({"observation": np.zeros((1, 7), np.float32)})


def test_numbers_are_checked_for_shape_and_finiteness():
    assert checked_numbers(np.ones((1, 2), np.float32), (1, 2), "x").dtype == np.float64
    with pytest.raises(BundleError, match="x has shape"):
        checked_numbers(np.ones(2), (1, 2), "x")
    with pytest.raises(BundleError, match="x is -inf"):
        checked_numbers(np.array([1.0, -np.inf]), (2,), "x")


@pytest.mark.parametrize("answer", [math.inf, -math.inf, math.nan])
def test_an_answer_that_is_not_finite_is_refused(tmp_path, answer):
    bundle = load_bundle(cases.network_bundle(tmp_path / "sick", answer))
    with pytest.raises(
        BundleError, match=r"answer of .*policy\.onnx is (inf|-inf|nan), which is no number to trade on"
    ):
        bundle.decide(BARS, FLAT, now="last-bar")


@pytest.mark.parametrize(
    ("direction", "answer", "words"),
    [
        ("long", -2.0, r"answered -2x, but the bundle trades long only"),
        ("short", 2.0, r"answered \+2x, but the bundle trades short only"),
        ("long", 10.5, r"answered \+10.5x, beyond its own limit of 10x"),
        ("free", -10.5, r"beyond its own limit"),
    ],
)
def test_an_answer_on_the_wrong_side_or_beyond_the_limit_is_refused(tmp_path, direction, answer, words):
    config = cases.SMALL.with_(direction=direction)
    bundle = load_bundle(cases.network_bundle(tmp_path / "sick", answer, config=config))
    with pytest.raises(BundleError, match=words):
        bundle.decide(BARS, FLAT, now="last-bar")


def test_the_largest_leverage_up_to_the_rounding_of_single_precision_passes(tmp_path):
    bundle = load_bundle(cases.network_bundle(tmp_path / "most", 10.00001))
    assert bundle.decide(BARS, FLAT, now="last-bar").policy_leverage == {"BTC-SYN": 10.0}


def test_a_band_that_answers_nan_without_a_position_is_refused(tmp_path):
    # Inside its band the network of a differentiable agent answers NaN, but only of a position; this one always does.
    bundle = load_bundle(cases.network_bundle(tmp_path / "band", math.nan, algorithm="differentiable"))
    price = float(BARS.close.iloc[-1])
    held = {"quantity": 0.01, "entry_price": price, "leverage": 2.0}
    for positions in ({}, {"BTC-SYN": held}):
        with pytest.raises(BundleError, match="nan, which is no"):
            bundle.decide(BARS, {"wallet_balance": 10_000.0, "positions": positions}, now="last-bar")


@pytest.mark.parametrize(
    ("variance", "words"),
    [
        (math.nan, "is nan, which is no number to trade on"),
        (math.inf, "is inf, which is no number to trade on"),
        (-1e-4, "is a negative variance, -0.0001"),
    ],
)
def test_a_forecast_that_is_no_variance_is_refused(tmp_path, variance, words):
    bundle = load_bundle(cases.forecast_bundle(tmp_path / "sick", variance))
    with pytest.raises(BundleError, match=f"forecast 'forecast_volatility' of .*forecaster.onnx {words}"):
        bundle.decide(BARS, FLAT, now="last-bar")


def test_a_forecast_reaches_the_observation_as_volatility(tmp_path):
    bundle = load_bundle(cases.forecast_bundle(tmp_path / "well", 0.0004))
    decision = bundle.decide(BARS, FLAT, now="last-bar")
    # a daily variance of 0.0004 is a volatility of 2 % a day, 0.02 x sqrt(365) a year
    assert decision.observation["forecast_volatility"] == pytest.approx(0.02 * math.sqrt(365.0), rel=1e-6)


def graph_of(values, shape, kind):
    """ONNX graph that returns a table of a type and shape, whatever its input is."""
    from onnx import TensorProto, helper

    made = helper.make_tensor("value", getattr(TensorProto, kind), list(shape), values)
    graph = helper.make_graph(
        [helper.make_node("Constant", [], ["target_leverage"], value=made)],
        "constant",
        [helper.make_tensor_value_info("observation", TensorProto.FLOAT, ["n", 7])],
        [helper.make_tensor_value_info("target_leverage", made.data_type, list(shape))],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    ).SerializeToString()


@pytest.mark.parametrize("algorithm", ["ppo", "differentiable"])  # the second may answer NaN
@pytest.mark.parametrize(
    ("values", "shape", "kind", "words"),
    [
        ([3.0, 3.0], (2, 1), "FLOAT", r"has shape \(2, 1\), not \(1, 1\)"),  # the first row was traded
        ([3.0], (1,), "FLOAT", "has shape"),
        ([3.0, 3.0], (1, 2), "FLOAT", "has shape"),
        ([], (0, 1), "FLOAT", "has shape"),
        ([3.0], (), "FLOAT", "has shape"),
        ([b"3.0"], (1, 1), "STRING", "is no table of numbers"),
        ([b"abc"], (1, 1), "STRING", "is no table of numbers"),
        ([1], (1, 1), "BOOL", "is no table of numbers"),
    ],
)
def test_an_answer_of_another_shape_or_type_is_refused(tmp_path, algorithm, values, shape, kind, words):
    folder = cases.network_bundle(tmp_path / "odd", 3.0, algorithm)
    (folder / "policy.onnx").write_bytes(graph_of(values, shape, kind))
    cases.write_checksums(folder)
    with pytest.raises(BundleError, match=rf"the answer of .*policy\.onnx {words}"):
        load_bundle(folder).decide(BARS, FLAT, now="last-bar")


@pytest.mark.parametrize("algorithm", ["ppo", "differentiable"])
@pytest.mark.parametrize("factor", [2.1, 1e6, math.inf, -0.1, -math.inf])
def test_a_factor_of_the_base_rule_outside_0_to_2_is_refused(tmp_path, algorithm, factor):
    # 1 + an action of -1 to 1; a larger one was cut to the largest leverage: a fault became "buy 10x"
    rule = {"rule": "fixed", "leverage": 4.0}
    folder = cases.network_bundle(tmp_path / "x", factor, algorithm, kind="residual", rule=rule)
    with pytest.raises(BundleError, match=r"must be 0 to 2|is -?inf"):
        load_bundle(folder).decide(BARS, FLAT, now="last-bar")


def test_a_factor_of_2_doubles_the_base_rule(tmp_path):
    rule = {"rule": "fixed", "leverage": 4.0}
    folder = cases.network_bundle(tmp_path / "x", 2.0, kind="residual", rule=rule)
    decision = load_bundle(folder).decide(BARS, FLAT, now="last-bar")
    assert decision.policy_leverage == {"BTC-SYN": 8.0}


def nodes_graph(nodes, outputs=1, inputs=7):
    """ONNX bytes of a graph of some nodes, from ``observation`` to ``target_leverage``."""
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info("observation", TensorProto.FLOAT, ["n", inputs])],
        [helper.make_tensor_value_info("target_leverage", TensorProto.FLOAT, None)],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    ).SerializeToString()


def endless():
    """A loop that never ends."""
    from onnx import TensorProto, helper

    true = helper.make_tensor("true", TensorProto.BOOL, [], [True])
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["going"], ["goes"]), helper.make_node("Identity", ["x"], ["y"])],
        "body",
        [
            value("k", TensorProto.INT64, []),
            value("going", TensorProto.BOOL, []),
            value("x", TensorProto.FLOAT, None),
        ],
        [value("goes", TensorProto.BOOL, []), value("y", TensorProto.FLOAT, None)],
    )
    return [
        helper.make_node("Constant", [], ["true"], value=true),
        helper.make_node("Loop", ["", "true", "observation"], ["target_leverage"], body=body),
    ]


def huge():
    """A table of 2^40 numbers."""
    from onnx import TensorProto, helper

    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [1 << 20, 1 << 20])
    return [
        helper.make_node("Constant", [], ["shape"], value=shape),
        helper.make_node("ConstantOfShape", ["shape"], ["target_leverage"]),
    ]


def slow():
    """Products of tables that take minutes."""
    from onnx import TensorProto, helper

    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [2048, 2048])
    names = [f"x{k}" for k in range(2_000)]
    return [
        helper.make_node("Constant", [], ["shape"], value=shape),
        helper.make_node("ConstantOfShape", ["shape"], ["x0"]),
        helper.make_node("ReduceSum", ["observation"], ["s"], keepdims=1),
        helper.make_node("Add", ["x0", "s"], ["y0"]),
        *(
            helper.make_node(
                "MatMul", [f"y{k}", "y0"], [f"y{k + 1}" if k + 2 < len(names) else "target_leverage"]
            )
            for k in range(len(names) - 1)
        ),
    ]


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        (endless, "holds the operator Loop, which may never end"),
        (huge, "does not run within 5 s and 1024 MiB"),
        pytest.param(slow, "does not run within 5 s and 1024 MiB", marks=pytest.mark.slow),
    ],
)
def test_a_graph_that_never_ends_or_takes_all_memory_is_refused_before_it_decides(nodes, words):
    begun = time.process_time()
    with pytest.raises(BundleError, match=words):
        Network(nodes_graph(nodes()), "policy.onnx")
    assert time.process_time() - begun < 20.0
