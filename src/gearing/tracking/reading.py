"""Find finished runs by their logged parameters."""

import os
from pathlib import Path
from typing import Any


def find_runs(
    experiment: str = "gearing", uri: str | None = None, **params: Any
) -> list[tuple[dict[str, str], dict[str, float]]]:
    """Parameters and last metrics of finished runs, the newest first.

    Parameters
    ----------
    experiment : str
        MLflow experiment.
    uri : str, optional
        Tracking URI, as `Tracker` takes it.
    **params
        Logged parameters that a run must have, such as ``agent="ppo"``.

    Returns
    -------
    list of (params, metrics)
        Empty if nothing was tracked there.
    """
    from gearing.tracking.tracker import DEFAULT_URI

    uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).exists():
        return []
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    known = client.get_experiment_by_name(experiment)
    if known is None:
        return []
    wanted = " and ".join(f"params.`{name}` = '{value}'" for name, value in params.items())
    found = client.search_runs([known.experiment_id], wanted, order_by=["attributes.start_time DESC"])
    return [(dict(run.data.params), dict(run.data.metrics)) for run in found if run.info.status == "FINISHED"]
