"""Finished studies in MLflow, with the scores that they left there."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gearing.tracking.reading import experiment_runs
from gearing.tracking.store import chosen_uri, open_client

SCORES = "comparison"  # artifact folder of a study's run
_PARENT = "mlflow.parentRunId"


@dataclass(frozen=True)
class StudyRun:
    """The run of a study; `gearing.compare` takes it.

    Attributes
    ----------
    study : str
        Name of the experiment file that ran.
    run_id, uri : str
    params, metrics, tags : mapping
    """

    study: str
    run_id: str
    uri: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]

    @classmethod
    def of(cls, run: Any, uri: str | None = None) -> StudyRun:
        """From MLflow's own object of a run."""
        tags = dict(run.data.tags)
        name = str(run.info.run_name or run.info.run_id)
        return cls(
            name, run.info.run_id, chosen_uri(uri), dict(run.data.params), dict(run.data.metrics), tags
        )

    def comparison_folder(self) -> Path:
        """A temporary folder with the study's scores.

        Raises
        ------
        ValueError
            If the run has none: it is no study's, has not finished, or was made by an earlier version.
        """
        client, place = open_client(self.uri), Path(tempfile.mkdtemp(prefix="gearing-"))
        if not any(one.path == SCORES for one in client.list_artifacts(self.run_id)):
            raise ValueError(
                f"run {self.run_id} ({self.study}) has no scores of policies: give the run of a finished study, "
                "which is the parent of its trials."
            )
        return Path(client.download_artifacts(self.run_id, SCORES, str(place)))


def study_runs(
    study: str | None = None, *, experiment: str = "gearing", uri: str | None = None
) -> list[StudyRun]:
    """Finished studies with scores of policies, the newest first.

    Parameters
    ----------
    study : str, optional
        Only those of this name.
    experiment : str
        MLflow experiment.
    uri : str, optional
        Tracking URI, as `gearing.tracking.Tracker` takes it.

    Returns
    -------
    list of StudyRun
        Empty if nothing was tracked there.
    """
    uri = chosen_uri(uri)
    runs = experiment_runs(experiment, uri, "attributes.status = 'FINISHED'")
    found = [StudyRun.of(run, uri) for run in runs if _PARENT not in run.data.tags]
    wanted = [run for run in found if study in (None, run.study)]
    if not wanted:
        return []
    client = open_client(uri)
    return [run for run in wanted if any(one.path == SCORES for one in client.list_artifacts(run.run_id))]
