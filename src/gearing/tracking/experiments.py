"""Experiments and runs in MLflow: found by name and key, created if missing, begun again if somebody deleted them."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gearing.tracking.journal import Record
from gearing.tracking.pages import experiment_tags

KEY_TAG = "gearing.key"
PARENT_TAG = "gearing.parent"
_LONGEST_FOLDER = 100
# Id of a run whose journal is in the spool, by experiment and key; "" if it is not in MLflow yet, None without journal.
Journaled = Callable[[str, str], str | None]
_logger = logging.getLogger(__name__)


class TrackerAway(ConnectionError):  # noqa: N818  a state, not a mistake
    """The tracker cannot be reached; retry later."""


class ParentMissing(TrackerAway):
    """The parent run has not arrived yet; its own journal delivers it."""


def quoted(text: str) -> str:
    """A text as MLflow's filters take it; they know no escapes.

    Raises
    ------
    ValueError
        If it contains both kinds of quotes.
    """
    if "'" in text and '"' in text:
        raise ValueError(f"{text!r} contains both ' and \"; MLflow cannot search for it. Use one of them.")
    return f'"{text}"' if "'" in text else f"'{text}'"


def experiment_id(client: Any, name: str, artifacts: Path | None) -> str:
    """Id of an experiment, which is created if missing and restored if deleted; its files go into ``artifacts``."""
    found = client.get_experiment_by_name(name)
    if found is None:
        location = None if artifacts is None else (artifacts / _folder_name(name)).as_uri()
        try:
            return str(client.create_experiment(name, artifact_location=location, tags=experiment_tags()))
        except Exception:  # another process was faster
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        _restore(client, found.experiment_id, name)
    _describe(client, found)
    return str(found.experiment_id)


def find_run(client: Any, experiments: Sequence[str], key: str, preferred: str | None = None) -> Any:
    """The run of a key: the preferred one, else the newest; None if there is none that is not deleted."""
    found = client.search_runs(
        list(experiments),
        f"tags.`{KEY_TAG}` = {quoted(key)}",
        max_results=10,
        order_by=["attributes.start_time DESC"],
    )
    return next((run for run in found if run.info.run_id == preferred), found[0] if found else None)


def create_run(client: Any, experiment: str, record: Record, parent: Any) -> str:
    """Create the run that a start record describes, in its parent's experiment; returns its id."""
    tags = dict(record["tags"]) | {KEY_TAG: record["key"]}
    if parent is not None:
        tags["mlflow.parentRunId"] = parent.info.run_id
        experiment = parent.info.experiment_id
    elif record["parent"] is not None:
        tags[PARENT_TAG] = record["parent"]
    run = client.create_run(experiment, record["time"], tags, record["name"])
    return str(run.info.run_id)


def last_step(client: Any, run: Any, metric: str) -> int:
    """The last step at which a run has a metric."""
    return max(point.step for point in client.get_metric_history(run.info.run_id, metric))


def find_parent(client: Any, experiment: str, record: Record, journaled: Journaled) -> Any:
    """The parent run of a start record; None if nobody will deliver it.

    In a renamed experiment, its journal says which it is.

    Raises
    ------
    ParentMissing
        If it has not arrived yet, and the spool has a journal of it.
    """
    known = journaled(record["experiment"], record["parent"])  # read before MLflow is searched
    parent = find_run(client, [experiment], record["parent"])
    if parent is None and known:
        parent = next((run for run in [client.get_run(known)] if run.info.lifecycle_stage == "active"), None)
    if parent is None and known is not None:
        raise ParentMissing(f"the parent run {record['parent']!r} has not arrived yet")
    if parent is None:
        everywhere = [one.experiment_id for one in client.search_experiments()]
        parent = find_run(client, everywhere, record["parent"])
    if parent is None:
        _logger.warning(
            "run %s: its parent %s is not in MLflow; the run stands alone", record["name"], record["parent"]
        )
    return parent


def _describe(client: Any, experiment: Any) -> None:
    """Give an experiment of older versions the tags that a new one has; its own stay."""
    for name, text in experiment_tags().items():
        if name not in experiment.tags:
            client.set_experiment_tag(experiment.experiment_id, name, text)


def _restore(client: Any, experiment: str, name: str) -> None:
    """Restore an experiment, since MLflow keeps its name taken; the runs deleted with it stay deleted."""
    from mlflow.entities import ViewType

    _logger.warning(
        "experiment %s was deleted in MLflow; it is restored for new runs, its deleted runs are not", name
    )
    deleted: list[str] = []
    page = client.search_runs([experiment], run_view_type=ViewType.DELETED_ONLY)
    while True:
        deleted += [run.info.run_id for run in page]
        if not page.token:
            break
        page = client.search_runs([experiment], run_view_type=ViewType.DELETED_ONLY, page_token=page.token)
    client.restore_experiment(experiment)
    for run_id in deleted:
        client.delete_run(run_id)


def _folder_name(name: str) -> str:
    """A name as a folder: MLflow's artifact stores know no other characters than these everywhere."""
    return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name)[
        :_LONGEST_FOLDER
    ]
