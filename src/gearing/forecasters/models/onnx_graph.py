"""ONNX graphs of forecasters, including exp, bias and scaling.

Input ``X`` float32 (n, n_columns) in the order of the recipe's columns; output ``variance`` float32 (n, 1).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

PERCENT = 100.0  # returns of about one, on which GARCH is estimated best
OPSET, ML_OPSET, IR_VERSION = 17, 3, 8


def linear_graph(
    coefficients: np.ndarray,
    intercept: float,
    lower: np.ndarray | None = None,
    upper: np.ndarray | None = None,
) -> Any:
    """Graph of ``exp(X @ coefficients + intercept)``, X within bounds where they are given."""
    from onnx import helper, numpy_helper

    weights = np.asarray(coefficients, dtype=np.float32).reshape(-1, 1)
    bounded = lower is not None and upper is not None
    ends = {"lower": lower, "upper": upper} if bounded else {}
    nodes = [
        *([helper.make_node("Max", ["X", "lower"], ["above"])] if bounded else []),
        *([helper.make_node("Min", ["above", "upper"], ["rows"])] if bounded else []),
        helper.make_node("MatMul", ["rows" if bounded else "X", "weights"], ["product"]),
        helper.make_node("Add", ["product", "intercept"], ["log_variance"]),
        helper.make_node("Exp", ["log_variance"], ["variance"]),
    ]
    constants = [numpy_helper.from_array(weights, "weights"), _number(intercept, "intercept")]
    constants += [numpy_helper.from_array(np.asarray(end, np.float32), name) for name, end in ends.items()]
    return _model(nodes, constants, len(weights))


def tree_graph(trees: Sequence[Sequence[dict[str, float]]], n_columns: int, intercept: float) -> Any:
    """Graph of ``exp(sum of trees + intercept)``.

    Parameters
    ----------
    trees : sequence of lists of nodes
        A node is ``{"feature", "threshold", "left", "right"}`` (go left where value <= threshold) or
        ``{"leaf"}``; the root comes first.
    """
    from onnx import helper

    nodes = [
        helper.make_node(
            "TreeEnsembleRegressor", ["X"], ["sum"], domain="ai.onnx.ml", **_tree_attributes(trees)
        ),
        helper.make_node("Add", ["sum", "intercept"], ["log_variance"]),
        helper.make_node("Exp", ["log_variance"], ["variance"]),
    ]
    return _model(nodes, [_number(intercept, "intercept")], n_columns)


def garch_graph(n_columns: int, omega: float, alpha: float, gamma: float, beta: float, scale: float) -> Any:
    """Graph of a GARCH recursion that runs through a row's own returns; see ``GarchVariance``.

    The recursion is linear in the squared shocks, so it is a weighted sum of them: the newest weighs 1, each older one
    ``beta`` times as much as the one after it. Returns are in percent, the variance is not.
    """
    from onnx import helper, numpy_helper

    n = n_columns - 2
    weights = (beta ** np.arange(n, dtype=np.float64) / PERCENT**2).reshape(-1, 1)
    values = {
        "percent": [[PERCENT]], "zero": [[0.0]], "all": alpha * weights, "falling": gamma * weights,
        "memory": [[beta**n]], "constant": [[omega * weights.sum()]], "least": [[1e-12 / PERCENT**2]],
        "scale": [[scale]],
    }  # fmt: skip
    constants = [numpy_helper.from_array(np.asarray(v, np.float32), name) for name, v in values.items()]
    constants += [
        numpy_helper.from_array(np.arange(1, n_columns - 1), "returns"),
        numpy_helper.from_array(np.array([n_columns - 1]), "last"),
        numpy_helper.from_array(np.float32(-30.0), "low"),
        numpy_helper.from_array(np.float32(30.0), "high"),
    ]
    steps = [
        ("Gather", ["X", "returns"], "plain"), ("Mul", ["plain", "percent"], "shock"),
        ("Mul", ["shock", "shock"], "square"), ("Less", ["shock", "zero"], "is_down"),
        ("Cast", ["is_down"], "down"), ("Mul", ["square", "down"], "square_down"),
        ("MatMul", ["square", "all"], "of_all"), ("MatMul", ["square_down", "falling"], "of_falling"),
        ("Gather", ["X", "last"], "log_start"), ("Clip", ["log_start", "low", "high"], "clipped"),
        ("Exp", ["clipped"], "start"), ("Mul", ["start", "memory"], "of_start"),
        ("Sum", ["of_all", "of_falling", "of_start", "constant"], "sum"), ("Max", ["sum", "least"], "conditional"),
        ("Mul", ["conditional", "scale"], "variance"),
    ]  # fmt: skip
    more: dict[str, dict[str, Any]] = {"Gather": {"axis": 1}, "Cast": {"to": 1}}
    nodes = [helper.make_node(kind, inputs, [made], **more.get(kind, {})) for kind, inputs, made in steps]
    return _model(nodes, constants, n_columns)


def gru_graph(
    base: Any,
    mean: np.ndarray,
    spread: np.ndarray,
    steps: int,
    weights: Mapping[str, np.ndarray],
    most: float,
) -> Any:
    """Graph of a base model's variance, times exp of a recurrent network's correction.

    Parameters
    ----------
    base : ModelProto
        Over the same columns.
    mean, spread : (n_columns,)
        Standards of the columns.
    steps : int
        Last columns, newest first, that the GRU reads; the others join its last state.
    weights : mapping
        Of ``SequenceVariance.network_``, by their names in torch.
    most : float
        The correction is clipped to it, in logs.
    """
    from onnx import compose, helper, numpy_helper

    graph, n = compose.add_prefix(base, "base_").graph, len(mean)
    order = _onnx_gates(weights["days.weight_hh_l0"].shape[1])
    values: dict[str, np.ndarray] = {
        "mean": mean[None], "spread": spread[None], "W": weights["days.weight_ih_l0"][order][None],
        "R": weights["days.weight_hh_l0"][order][None],
        "B": np.concatenate([weights["days.bias_ih_l0"][order], weights["days.bias_hh_l0"][order]])[None],
        "W1": weights["head.0.weight"], "B1": weights["head.0.bias"],
        "W2": weights["head.2.weight"], "B2": weights["head.2.bias"],
    }  # fmt: skip
    constants = [
        *graph.initializer,
        *(numpy_helper.from_array(v.astype(np.float32), k) for k, v in values.items()),
    ]
    whole = {
        "days_at": np.arange(n - 1, n - steps - 1, -1), "others_at": np.arange(n - steps),
        "third": np.array([2]), "first": np.array([0]),
    }  # fmt: skip
    constants += [numpy_helper.from_array(v.astype(np.int64), name) for name, v in whole.items()]
    constants += [
        numpy_helper.from_array(np.float32(v), name) for name, v in (("low", -most), ("high", most))
    ]
    hidden = len(order) // 3
    parts: list[tuple[str, list[str], list[str], dict[str, Any]]] = [
        ("Identity", ["X"], ["base_X"], {}), ("Sub", ["X", "mean"], ["centred"], {}),
        ("Div", ["centred", "spread"], ["Z"], {}), ("Gather", ["Z", "days_at"], ["days"], {"axis": 1}),
        ("Transpose", ["days"], ["by_day"], {"perm": [1, 0]}), ("Unsqueeze", ["by_day", "third"], ["sequence"], {}),
        ("GRU", ["sequence", "W", "R", "B"], ["", "state"], {"hidden_size": hidden, "linear_before_reset": 1}),
        ("Squeeze", ["state", "first"], ["last"], {}), ("Gather", ["Z", "others_at"], ["others"], {"axis": 1}),
        ("Concat", ["last", "others"], ["joined"], {"axis": 1}),
        ("Gemm", ["joined", "W1", "B1"], ["inside"], {"transB": 1}), ("Tanh", ["inside"], ["bent"], {}),
        ("Gemm", ["bent", "W2", "B2"], ["correction"], {"transB": 1}),
        ("Clip", ["correction", "low", "high"], ["bounded"], {}), ("Exp", ["bounded"], ["factor"], {}),
        ("Mul", ["base_variance", "factor"], ["variance"], {}),
    ]  # fmt: skip
    nodes = [helper.make_node(kind, given, made, **more) for kind, given, made, more in parts]
    return _model([nodes[0], *graph.node, *nodes[1:]], constants, n)


def _onnx_gates(hidden: int) -> np.ndarray:
    """Rows of torch's GRU weights (reset, update, new) in ONNX's order (update, reset, new)."""
    reset, update, new = np.arange(3 * hidden).reshape(3, hidden)
    return np.concatenate([update, reset, new])


def mean_graph(models: Sequence[Any], weights: Sequence[float]) -> Any:
    """Graph of the weighted geometric mean of other models' variances, all over the same columns."""
    from onnx import compose, helper

    nodes, constants, terms = [], [], []
    for i, (model, weight) in enumerate(zip(models, weights, strict=True)):
        graph = compose.add_prefix(model, f"m{i}_").graph
        nodes.append(helper.make_node("Identity", ["X"], [f"m{i}_X"]))
        nodes.extend(graph.node)
        constants.extend(graph.initializer)
        constants.append(_number(weight, f"weight{i}"))
        nodes.append(helper.make_node("Log", [f"m{i}_variance"], [f"log{i}"]))
        nodes.append(helper.make_node("Mul", [f"log{i}", f"weight{i}"], [f"term{i}"]))
        terms.append(f"term{i}")
    nodes.append(helper.make_node("Sum", terms, ["log_variance"]))
    nodes.append(helper.make_node("Exp", ["log_variance"], ["variance"]))
    return _model(nodes, constants, _width(models[0]))


def average_graph(models: Sequence[Any]) -> Any:
    """Graph of the geometric mean of other models' variances."""
    return mean_graph(models, [1.0 / len(models)] * len(models))


def scaled_graph(model: Any, scale: float) -> Any:
    """The same model with its variance multiplied."""
    return mean_graph([model, linear_graph(np.zeros(_width(model)), np.log(scale))], [1.0, 1.0])


def _number(value: float, name: str) -> Any:
    from onnx import numpy_helper

    return numpy_helper.from_array(np.array([[value]], dtype=np.float32), name)


def _width(model: Any) -> int:
    return int(model.graph.input[0].type.tensor_type.shape.dim[1].dim_value)


def _model(nodes: list[Any], constants: list[Any], n_columns: int) -> Any:
    from onnx import TensorProto, checker, helper

    graph = helper.make_graph(
        nodes,
        "variance_forecast",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["n", n_columns])],
        [helper.make_tensor_value_info("variance", TensorProto.FLOAT, ["n", 1])],
        constants,
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="gearing")
    checker.check_model(model)
    return model


def _tree_attributes(trees: Sequence[Sequence[dict[str, float]]]) -> dict[str, Any]:
    names = ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids")
    found: dict[str, list[Any]] = {f"nodes_{name}": [] for name in names}
    targets = ("treeids", "nodeids", "ids", "weights")
    leaves: dict[str, list[Any]] = {f"target_{name}": [] for name in targets}
    for t, tree in enumerate(trees):
        for i, node in enumerate(tree):
            leaf = "leaf" in node
            row = (t, i, 0, 0.0, "LEAF", 0, 0) if leaf else (t, i, *_branch(node))
            for name, value in zip(names, row, strict=True):
                found[f"nodes_{name}"].append(value)
            if leaf:
                for name, value in zip(leaves, (t, i, 0, float(node["leaf"])), strict=True):
                    leaves[name].append(value)
    return {**found, **leaves, "n_targets": 1, "aggregate_function": "SUM"}


def _branch(node: dict[str, float]) -> tuple[int, float, str, int, int]:
    threshold = round_down(node["threshold"])
    return int(node["feature"]), threshold, "BRANCH_LEQ", int(node["left"]), int(node["right"])


def round_down(threshold: float) -> float:
    """Largest float32 not above the threshold, so that float32 inputs take the same branch as in double."""
    narrow = np.float32(threshold)
    return float(narrow if float(narrow) <= threshold else np.nextafter(narrow, np.float32(-np.inf)))
