"""How MLflow's pages open an experiment."""

import base64
import json
import zlib

from gearing.tracking.pages import VIEW, experiment_tags, page


def test_the_saved_view_shows_results_that_all_studies_have():
    saved = json.loads(experiment_tags()[f"mlflow.sharedViewState.{VIEW}"])
    kind, _, packed = saved["state"].partition(";")
    state = json.loads(zlib.decompress(base64.b64decode(packed)))
    assert (saved["name"], kind) == ("Results", "deflate")
    assert {"metrics.`log_growth`", "metrics.`score`", "metrics.`regret`"} <= set(state["selectedColumns"])


def test_the_page_opens_as_training_of_models_with_the_saved_view():
    assert page("http://host:5000/", "7") == (
        "http://host:5000/#/experiments/7/runs?workflowType=machine_learning&viewStateShareKey=gearing"
    )


def test_tags_fit_into_mlflow():
    assert all(len(text) <= 5000 for text in experiment_tags().values())
