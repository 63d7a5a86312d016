"""Registered models: the challenger becomes champion when evidence from the same data and code says it is better.

A study registers what it exports as ``challenger`` and logs, with the run, the evidence: one value for each day of the
test. Nothing becomes ``champion`` by itself.
"""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from gearing.evaluation.statistics.inference import Difference, growth_difference
from gearing.storage.text import read_json
from gearing.tracking.delivery import quiet_environment
from gearing.tracking.experiments import quoted
from gearing.tracking.models import CHALLENGER, CHAMPION
from gearing.tracking.store import chosen_uri, database, open_client, without_password

EVIDENCE_TAG = "evidence"  # of a version: where its run has the evidence
_SAME = ("code", "data", "account", "days")


@dataclass(frozen=True)
class Promotion:
    """A comparison of a challenger with the champion, or with the study's baseline where there is none.

    Attributes
    ----------
    model, version : str
    against : str
        What the challenger was compared with.
    difference : Difference
        Of log growth a year.
    promoted : bool
        Whether it is champion now: the interval is above zero.
    """

    model: str
    version: str
    against: str
    difference: Difference
    promoted: bool

    def __str__(self) -> str:
        what = "is champion now" if self.promoted else "stays challenger: the interval is not above zero"
        return (
            f"{self.model} version {self.version} {what}; log growth a year less that of {self.against}: "
            f"{self.difference}"
        )


def promote(model: str, uri: str | None = None, *, level: float = 0.95, seed: int = 0) -> Promotion:
    """Make a model's challenger its champion if it is significantly better on the same days.

    Parameters
    ----------
    model : str
        Name of the registered model.
    uri : str, optional
        Tracking URI, as `Tracker` takes it.
    level : float
        Of the interval of the difference, which resamples blocks of days.
    seed : int
        Of the resampling.

    Raises
    ------
    ValueError
        If there is no challenger, or no evidence from the same data, code, account settings and days.
    """
    uri = chosen_uri(uri)
    client = _client(uri, model)
    versions = _by_alias(client, model)
    if CHALLENGER not in versions:
        raise ValueError(
            f"the model {model!r} has no challenger. A study that exports an agent registers one; its name is that of "
            "the study."
        )
    against, difference = _compared(client, model, versions, level, seed)
    version = str(versions[CHALLENGER].version)
    promoted = difference.low > 0.0
    made = Promotion(model, version, against, difference, promoted)
    if promoted:
        client.set_registered_model_alias(model, CHAMPION, version)
        client.delete_registered_model_alias(model, CHALLENGER)
        client.set_model_version_tag(model, version, "promoted", str(made))
    return made


def candidates(uri: str | None = None, *, level: float = 0.95, seed: int = 0) -> pd.DataFrame:
    """Registered models with a challenger, and what its evidence says; nothing is promoted.

    Parameters
    ----------
    uri, level, seed : as `promote`

    Returns
    -------
    DataFrame
        Indexed by model: version of the ``challenger`` and of the ``champion`` (None without one), ``against``, the
        difference of ``log_growth`` a year with its interval as text, and the ``verdict``: "better", "not better", or
        why there is nothing to compare.
    """
    uri = chosen_uri(uri)
    file = database(uri)
    rows = {}
    if file is None or file.exists():
        client = open_client(uri)
        for model in sorted(found.name for found in client.search_registered_models()):
            versions = _by_alias(client, model)
            if CHALLENGER in versions:
                rows[model] = _candidate(client, model, versions, level, seed)
    columns = ["challenger", "champion", "against", "log_growth", "verdict"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("model")


def write_evidence(evidence: Mapping[str, Any]) -> tuple[str, str]:
    """Name and text of the file that a study's run has."""
    return f"evidence/{evidence['policy']}-{evidence['code'][:8]}.json", json.dumps(dict(evidence))


def _candidate(
    client: Any, model: str, versions: Mapping[str, Any], level: float, seed: int
) -> tuple[Any, ...]:
    champion = versions.get(CHAMPION)
    known = (str(versions[CHALLENGER].version), None if champion is None else str(champion.version))
    try:
        against, difference = _compared(client, model, versions, level, seed)
    except ValueError as error:
        return (*known, None, None, str(error))
    return (*known, against, str(difference), "better" if difference.low > 0.0 else "not better")


def _compared(
    client: Any, model: str, versions: Mapping[str, Any], level: float, seed: int
) -> tuple[str, Difference]:
    """What the challenger is compared with, and the difference of log growth a year."""
    challenger, champion = _evidence(client, model, versions[CHALLENGER]), versions.get(CHAMPION)
    if champion is None:
        against, other = challenger["baseline"], challenger["baseline_growth"]
    else:
        against, found = f"version {champion.version}", _evidence(client, model, champion)
        _check_same(model, challenger, found)
        other = found["growth"]
    return against, growth_difference(challenger["growth"], other, seed=seed, level=level)


def _client(uri: str, model: str) -> Any:
    file = database(uri)
    known = file is None or file.exists()
    client = open_client(uri) if known else None
    if client is None or not client.search_registered_models(f"name = {quoted(model)}"):
        raise ValueError(
            f"there is no registered model {model!r} in {without_password(uri)}. Give the name of a study that exports "
            "an agent, and its tracking URI."
        )
    return client


def _by_alias(client: Any, model: str) -> dict[str, Any]:
    aliases = client.get_registered_model(model).aliases
    return {alias: client.get_model_version(model, version) for alias, version in aliases.items()}


def _evidence(client: Any, model: str, version: Any) -> dict[str, Any]:
    where = version.tags.get(EVIDENCE_TAG)
    if where is None:
        raise ValueError(
            f"{model} version {version.version} has no evidence: it was not registered by a study. Run the study that "
            "exports it."
        )
    with tempfile.TemporaryDirectory() as folder, quiet_environment():
        found: dict[str, Any] = read_json(
            Path(client.download_artifacts(version.run_id, where, folder)), dict
        )
    if found["ruined"]:
        raise ValueError(
            f"{model} version {version.version} ruined its account in the test and stays challenger."
        )
    return found


def _check_same(model: str, challenger: Mapping[str, Any], champion: Mapping[str, Any]) -> None:
    differ = [name for name in _SAME if challenger[name] != champion[name]]
    if differ:
        raise ValueError(
            f"{model}: the evidence of challenger and champion is not from the same {', '.join(differ)}, so it "
            "compares nothing. Run the study of the champion again with today's code on the challenger's data."
        )
