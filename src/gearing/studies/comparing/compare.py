"""`gearing.compare`: policies of one or several finished studies in one `Comparison`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gearing.evaluation.comparisons.comparison import ABOUT, FOLDER, Comparison
from gearing.evaluation.comparisons.joining import joined
from gearing.names import shown
from gearing.studies.search.config import CHOSEN
from gearing.tracking.study_runs import StudyRun


def compare(
    *studies: Any, baseline: str | None = None, level: float | None = None, replications: int | None = None,
    seed: int = 0,
) -> Comparison:  # fmt: skip
    """Compare the policies of finished studies: scores by policy, task and seed, and every table and figure of them.

    Parameters
    ----------
    *studies : study, folder, tracked run, or a list or mapping of them
        What `gearing.run_study` returns; the folder that `gearing study` prints; a run of a study in MLflow, as
        `gearing.tracking.study_runs` finds it; another `Comparison`. A mapping names the studies.
    baseline : str, optional
        The policy that others are compared with; default: the first study's.
    level : float, optional
        Of intervals; default: the first study's.
    replications : int, optional
        Of bootstraps; default: the first study's.
    seed : int
        Of bootstraps.

    Raises
    ------
    ValueError
        If a folder holds no finished study, or the studies differ in market, data, fees or test spans, so that their
        scores do not compare.
    """
    parts: dict[str, Comparison] = {}
    for name, part in _flat(studies, None):
        parts[_free_name(name or part.studies[0].name, parts)] = part
    if not parts:
        raise ValueError("nothing to compare: give one or more finished studies, such as their folders.")
    if level is not None and not 0.0 < level < 1.0:
        raise ValueError(f"level is {level!r}; it is between 0 and 1, such as 0.95.")
    whole = joined(parts, baseline)
    given = {"level": level, "replications": replications}
    return whole.with_(seed=seed, **{name: value for name, value in given.items() if value is not None})


def _flat(studies: Any, name: str | None) -> Iterable[tuple[str | None, Comparison]]:
    """Every study with the name that it was given."""
    if isinstance(studies, Mapping):
        for own, study in studies.items():
            yield from _flat(study, str(own))
    elif isinstance(studies, list | tuple | set):
        for study in studies:
            yield from _flat(study, name)
    else:
        yield name, comparison_of(studies)


def _free_name(name: str, taken: Mapping[str, Any]) -> str:
    """The name, numbered where another study has it."""
    names = [name, *(f"{name} {k}" for k in range(2, len(taken) + 3))]
    return next(one for one in names if one not in taken)


def comparison_of(study: Any) -> Comparison:
    """The comparison of one study, however it is given."""
    if isinstance(study, Comparison):
        return study
    if isinstance(study, str | Path):
        return _of_folder(Path(study))
    if isinstance(study, StudyRun):
        return Comparison.load(study.comparison_folder())
    if hasattr(getattr(study, "info", None), "run_id"):  # MLflow's own object
        return Comparison.load(StudyRun.of(study).comparison_folder())
    folder = getattr(study, "folder", None)
    if isinstance(folder, Path):
        return _of_folder(folder)
    raise TypeError(
        f"a study is {shown(study)}; give what run_study returns, the folder of a finished study, or a tracked run."
    )


def _of_folder(folder: Path) -> Comparison:
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder; give the one that `gearing study` prints as results.")
    if not (folder / "experiment.yaml").is_file():
        raise ValueError(
            f"{folder} holds no experiment.yaml; give the folder that `gearing study` prints as results."
        )
    if (folder / CHOSEN).is_file():
        raise ValueError(
            f"{folder} is a search, which plays no test. `gearing study {folder / CHOSEN}` plays the test of the "
            "settings that it chose; compare the folder that this prints."
        )
    if not (folder / FOLDER / ABOUT).is_file():
        raise ValueError(
            f"{folder} holds no scores of policies: its study has not finished, was made by an earlier version, or "
            f"plays no policies by seed and task. `gearing study {folder / 'experiment.yaml'}` finishes it; what is "
            "done stays."
        )
    return Comparison.load(folder / FOLDER)
