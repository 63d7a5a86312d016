"""An ONNX file in MLflow: signature, example, serving, and one version for each content."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.tracking.test_tracker import doubling_network

from gearing.tracking import Tracker

mlflow = pytest.importorskip("mlflow")
pytest.importorskip("onnxruntime")
ROW = {"volatility": 0.5, "leverage": -2.0}  # of a network that doubles what it reads


@pytest.fixture
def loaded(uri, tmp_path):
    """The model as a user loads it: from the files of its version, with the client that wrote it."""
    tracker = Tracker(uri, "leverage", interval=60.0)
    with tracker.run("study") as run:
        run.log_model(
            doubling_network(tmp_path / "m.onnx"), register_as="btc", aliases=["challenger"], example=ROW,
            tags={"code": "0123"}, description="**Does it help?**",
        )  # fmt: skip
    tracker.close()
    client = mlflow.MlflowClient(uri, uri)
    version = client.get_model_version_by_alias("btc", "challenger")
    return version, mlflow.pyfunc.load_model(version.source)


def test_a_model_has_a_signature_by_column_names_and_an_example(loaded):
    _, model = loaded
    assert model.metadata.get_input_schema().input_names() == ["volatility", "leverage"]
    assert model.metadata.get_output_schema() is not None
    example = model.input_example
    assert example.to_dict("records") == [ROW]
    assert model.predict(example).tolist() == [[1.0, -4.0]]


def test_columns_are_read_by_name_in_any_order(loaded):
    _, model = loaded
    rows = pd.DataFrame({"leverage": [1.0, 0.0], "volatility": [3.0, 4.0]})
    assert model.predict(rows).tolist() == [[6.0, 2.0], [8.0, 0.0]]
    with pytest.raises(mlflow.MlflowException, match="volatility"):
        model.predict(rows[["leverage"]])


def test_the_server_of_mlflow_answers_with_the_models_numbers(loaded):
    testclient = pytest.importorskip("fastapi.testclient")
    from mlflow.pyfunc import scoring_server

    _, model = loaded
    with testclient.TestClient(scoring_server.init(model)) as server:
        answer = server.post(
            "/invocations", json={"dataframe_records": [ROW, {"leverage": 1, "volatility": 0}]}
        )
    assert answer.json() == {"predictions": [[1.0, -4.0], [0.0, 2.0]]}


def test_a_version_says_what_made_it(loaded):
    version, _ = loaded
    assert version.tags["code"] == "0123"
    assert version.description == "**Does it help?**"


def test_inputs_that_no_row_has_are_neutral(tmp_path):
    onnx = pytest.importorskip("onnx")
    from gearing.tracking.onnx_model import OnnxModel

    make, kind = onnx.helper, onnx.TensorProto
    rows = make.make_tensor_value_info("observation", kind.FLOAT, ["n", 1])
    allowed = make.make_tensor_value_info("allowed", kind.BOOL, ["n", 2])
    state = make.make_tensor_value_info("state", kind.FLOAT, [1, "n", 1])
    nodes = [
        make.make_node("Cast", ["allowed"], ["numbers"], to=kind.FLOAT),
        make.make_node("Add", ["numbers", "observation"], ["shifted"]),
        make.make_node("Squeeze", ["state", "first"], ["memory"]),
        make.make_node("Add", ["shifted", "memory"], ["y"]),
    ]
    first = make.make_tensor("first", kind.INT64, [1], [0])
    out = make.make_tensor_value_info("y", kind.FLOAT, ["n", 2])
    graph = make.make_graph(nodes, "masked", [rows, allowed, state], [out], [first])
    path = tmp_path / "masked.onnx"
    onnx.save(make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=9), path)
    model = OnnxModel()
    model.open(str(path))
    # observation + 1 where a level is allowed + 0 of an empty memory
    np.testing.assert_array_equal(model.predict(None, [[2.0], [5.0]]), [[3.0, 3.0], [6.0, 6.0]])


def test_the_bundle_is_part_of_the_model(uri, tmp_path):
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "manifest.json").write_text("{}")
    shutil.copy(doubling_network(tmp_path / "m.onnx"), bundle / "policy.onnx")
    tracker = Tracker(uri, "leverage", interval=60.0)
    with tracker.run("study") as run:
        run.log_model(bundle / "policy.onnx", extra_files=bundle, register_as="btc", example=ROW)
    tracker.close()
    (version,) = mlflow.MlflowClient(uri, uri).search_model_versions("name = 'btc'")
    folder = Path(mlflow.artifacts.download_artifacts(version.source, dst_path=str(tmp_path / "got")))
    assert (folder / "artifacts" / "bundle" / "manifest.json").read_text() == "{}"
