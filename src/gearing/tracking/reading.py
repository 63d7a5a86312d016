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
    wanted = " and ".join(f"params.`{name}` = {quoted(str(value))}" for name, value in params.items())
    found = experiment_runs(experiment, chosen_uri(uri), wanted)
    return [(dict(run.data.params), dict(run.data.metrics)) for run in found if run.info.status == "FINISHED"]


def experiment_runs(experiment: str, uri: str, wanted: str = "") -> list[Any]:
    """Runs of a named experiment, as `all_runs`; empty where nothing was tracked. It makes no database."""
    file = database(uri)
    if file is not None and not file.exists():
        return []
    client = open_client(uri)
    known = client.get_experiment_by_name(experiment)
    return [] if known is None else all_runs(client, known.experiment_id, wanted)


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
