"""ONNX graphs of forecasters, including exp, bias and scaling.

Input ``X`` float32 (n, n_columns) in the order of the recipe's columns; output ``variance`` float32 (n, 1).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

OPSET, ML_OPSET, IR_VERSION = 17, 3, 8


def linear_graph(coefficients: np.ndarray, intercept: float) -> Any:
    """Graph of ``exp(X @ coefficients + intercept)``."""
    from onnx import helper, numpy_helper

    weights = np.asarray(coefficients, dtype=np.float32).reshape(-1, 1)
    nodes = [
        helper.make_node("MatMul", ["X", "weights"], ["product"]),
        helper.make_node("Add", ["product", "intercept"], ["log_variance"]),
        helper.make_node("Exp", ["log_variance"], ["variance"]),
    ]
    constants = [numpy_helper.from_array(weights, "weights"), _number(intercept, "intercept")]
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
