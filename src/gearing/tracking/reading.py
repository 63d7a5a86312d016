"""Finding runs by what was logged about them."""

from typing import Any

from gearing.tracking.experiments import quoted
from gearing.tracking.store import chosen_uri, database, open_client

_PAGE = 1000  # runs in one answer of MLflow


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
    uri = chosen_uri(uri)
    file = database(uri)
    if file is not None and not file.exists():
        return []
    client = open_client(uri)
    known = client.get_experiment_by_name(experiment)
    if known is None:
        return []
    wanted = " and ".join(f"params.`{name}` = {quoted(str(value))}" for name, value in params.items())
    found = all_runs(client, known.experiment_id, wanted)
    return [(dict(run.data.params), dict(run.data.metrics)) for run in found if run.info.status == "FINISHED"]


def all_runs(client: Any, experiment: str, wanted: str = "") -> list[Any]:
    """All active runs of an experiment that a filter of MLflow matches, the newest first."""
    found: list[Any] = []
    token = None
    while True:
        page = client.search_runs(
            [experiment], wanted, max_results=_PAGE, order_by=["attributes.start_time DESC"], page_token=token
        )
        found += page
        token = page.token
        if not token:
            return found
