"""Log an ONNX file as an MLflow model, once for each content, and without MLflow's settings of the process.

Its signature and input example come from a row of its input; `mlflow models serve` takes rows with named columns.
"""

import contextlib
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gearing.storage.digest import digest, file_digest
from gearing.tracking.experiments import quoted
from gearing.tracking.journal import Journal, Record

CONTENT_TAG = "gearing.content"
CHAMPION, CHALLENGER = "champion", "challenger"  # aliases


def send_model(client: Any, journal: Journal, record: Record) -> None:
    """Log, register and alias the model that ``record`` describes; one of the same content is left unchanged."""
    run_id = journal.state.run_id
    content = _content(journal, record)
    tags = {CONTENT_TAG: content}
    experiment = client.get_run(run_id).info.experiment_id
    model_id = _find_model(client, experiment, run_id, tags)
    if model_id is None:
        model_id = _log_model(client, experiment, journal, record, tags)
    if record["register_as"] is not None:
        version = _version(client, record, model_id, run_id, tags)
        _set_aliases(client, record["register_as"], version, record["aliases"])


def _set_aliases(client: Any, name: str, version: str, wanted: Sequence[str]) -> None:
    """Set aliases of a version; the champion challenges nobody."""
    held = client.get_registered_model(name).aliases
    for alias in wanted:
        if not (alias == CHALLENGER and str(held.get(CHAMPION)) == version):
            client.set_registered_model_alias(name, alias, version)


def _content(journal: Journal, record: Record) -> str:
    """Digest of the model's files and their names."""
    logged = [journal.files / record[name] for name in ("file", "extra_files") if name in record]
    files = [
        path
        for top in logged
        for path in ([top] if top.is_file() else sorted(top.rglob("*")))
        if path.is_file()
    ]
    return digest([(path.name, file_digest(path)) for path in files], length=64)


def _find_model(client: Any, experiment: str, run_id: str | None, tags: dict[str, str]) -> str | None:
    """The run's model of that content; what a killed process began of it is deleted."""
    ((name, value),) = tags.items()
    found = client.search_logged_models([experiment], filter_string=f"tags.`{name}` = '{value}'")
    mine = [model for model in found if model.source_run_id == run_id]
    for model in mine:
        if model.status.name != "READY":
            client.delete_logged_model(model.model_id)
    ready = [model for model in mine if model.status.name == "READY"]
    return str(ready[0].model_id) if ready else None


def _log_model(client: Any, experiment: str, journal: Journal, record: Record, tags: dict[str, str]) -> str:
    from mlflow.entities import LoggedModelOutput

    model = client.create_logged_model(
        experiment, name=record["name"], source_run_id=journal.state.run_id, tags=tags
    )
    with tempfile.TemporaryDirectory() as draft:
        folder = Path(draft) / "model"
        _save(folder, journal, record, model.model_id)
        client.log_model_artifacts(model.model_id, str(folder))
    client.log_outputs(journal.state.run_id, [LoggedModelOutput(model.model_id, step=0)])
    client.finalize_logged_model(model.model_id, "READY")
    return str(model.model_id)


def _save(folder: Path, journal: Journal, record: Record, model_id: str) -> None:
    """Write the model's folder: the ONNX file, what is logged with it, and the program that runs it."""
    import mlflow.pyfunc
    from mlflow.models import Model

    artifacts = {"onnx": str(journal.files / record["file"])}
    if "extra_files" in record:
        artifacts["extra_files"] = str(journal.files / record["extra_files"])
    with _quiet():
        mlflow.pyfunc.save_model(
            folder,
            mlflow_model=Model(run_id=journal.state.run_id, model_id=model_id),
            **_interface(journal.files / record["file"], record.get("example")),
            python_model=str(Path(__file__).with_name("onnx_model.py")),
            artifacts=artifacts,
            pip_requirements=[
                "mlflow",
                "numpy",
                "onnxruntime",
            ],  # otherwise MLflow would run it to infer them
        )


def _interface(onnx: Path, example: Mapping[str, float] | None) -> dict[str, Any]:
    """Signature and input example, as MLflow saves them; nothing without an example."""
    if example is None:
        return {}
    import pandas as pd
    from mlflow.models import infer_signature

    from gearing.tracking.onnx_model import OnnxModel

    row, model = pd.DataFrame([example]), OnnxModel()
    model.open(str(onnx))
    return {"signature": infer_signature(row, model.predict(None, row)), "input_example": row}


def _version(client: Any, record: Record, model_id: str, run_id: str | None, tags: dict[str, str]) -> str:
    name = record["register_as"]
    if not client.search_registered_models(f"name = {quoted(name)}"):
        with contextlib.suppress(Exception):  # another process may be faster; otherwise the next call raises
            client.create_registered_model(name)
    found = client.search_model_versions(f"name = {quoted(name)}")
    ours = [version.version for version in found if tags.items() <= version.tags.items()]
    if ours:
        return str(ours[0])
    # MLflow resolves "models:/..." of a database by the process's own tracking URI, which may be another store.
    source = client.get_logged_model(model_id).artifact_location
    tags = tags | record.get("version_tags", {})
    made = client.create_model_version(
        name, source, run_id, tags=tags, description=record.get("description") or None, model_id=model_id
    )
    return str(made.version)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """MLflow warns that the model has no signature and no example; it is raw rows to raw outputs."""
    logger = logging.getLogger("mlflow.pyfunc")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
