"""Log an ONNX file as an MLflow model, idempotently."""

import contextlib
from pathlib import Path
from typing import Any

from gearing.tracking.journal import Journal, Record


def send_model(client: Any, journal: Journal, record: Record, tag: str) -> None:
    """Log, register and alias the model that ``record`` describes; existing ones are left unchanged."""
    run_id = journal.state.run_id
    tags = {tag: f"{run_id}-{record['time']}"}
    experiment = client.get_run(run_id).info.experiment_id
    model_id = _find_model(client, experiment, tags) or _log_model(client, experiment, journal, record, tags)
    if record["register_as"] is not None:
        version = _version(client, record["register_as"], model_id, run_id, tags)
        for alias in record["aliases"]:
            client.set_registered_model_alias(record["register_as"], alias, version)


def _find_model(client: Any, experiment: str, tags: dict[str, str]) -> str | None:
    (name, value), *_ = tags.items()
    found = client.search_logged_models([experiment], filter_string=f"tags.`{name}` = '{value}'")
    ready = [model for model in found if model.status.name == "READY"]
    return ready[0].model_id if ready else None


def _log_model(client: Any, experiment: str, journal: Journal, record: Record, tags: dict[str, str]) -> str:
    import mlflow.pyfunc
    from mlflow.models import Model

    artifacts = {"onnx": str(journal.files / record["kept"])}
    if "beside" in record:
        artifacts["beside"] = str(journal.files / record["beside"])
    run_id = journal.state.run_id
    # Created explicitly: MLflow would otherwise use the process's current experiment.
    model = client.create_logged_model(experiment, name=record["name"], source_run_id=run_id, tags=tags)
    Model.log(
        artifact_path=None,
        flavor=mlflow.pyfunc,
        run_id=run_id,
        model_id=model.model_id,
        python_model=str(Path(__file__).with_name("onnx_model.py")),
        artifacts=artifacts,
        pip_requirements=["mlflow", "numpy", "onnxruntime"],  # otherwise MLflow would run it to infer them
    )
    return model.model_id


def _version(client: Any, name: str, model_id: str, run_id: str | None, tags: dict[str, str]) -> str:
    if not client.search_registered_models(f"name = '{name}'"):
        with contextlib.suppress(Exception):  # another process may be faster; otherwise the next call raises
            client.create_registered_model(name)
    found = client.search_model_versions(f"name = '{name}'")
    ours = [version.version for version in found if tags.items() <= version.tags.items()]
    if ours:
        return ours[0]
    source = f"models:/{model_id}"
    return client.create_model_version(name, source, run_id, tags=tags, model_id=model_id).version
