"""Searching: batches of trials are drawn, run like all trials, and the best settings written as an experiment."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

import pandas as pd

from gearing.drawing import WIDTH, figure_style, legend_below, new_figure
from gearing.storage.atomic import write_text
from gearing.studies.experiment import Findings
from gearing.studies.search.config import CHOSEN, Searched as Evidence, as_text
from gearing.studies.search.drawing import (
    COMPLETE,
    FAILED,
    Pruning,
    Tried,
    check_optuna,
    drawn,
    write_journal,
)
from gearing.studies.search.trying import Searched, SearchTrial, try_settings, with_settings
from gearing.studies.trials import Result
from gearing.studies.work import Work

JOURNAL = "search.journal"


def search(config: Any, work: Work, how: Searched) -> Findings:
    """Search over an agent's settings.

    The table ``trials`` has one row per drawing: state, score (log growth a year on validation) and the settings. The
    experiment with the best of those that ran to their end is ``chosen.yaml``.
    """
    check_optuna()
    tried = _all_tried(config, work, how)
    ended = [one for one in tried if one.state == COMPLETE]
    if not ended:
        work.raise_failure()
    best = max(ended, key=lambda one: (one.score, -one.number))
    write_text(work.folder / CHOSEN, _chosen(config, best, tried).to_yaml())
    table = _table(tried)
    metrics = {
        "tried": float(len(tried)),
        "pruned": float(len(tried) - len(ended)),
        "best": float(best.score or 0.0),
    }
    if tried[0].state == COMPLETE:
        metrics["own_settings"] = float(tried[0].score or 0.0)
    can, cannot = _conclusions(config, best, tried)
    return Findings(
        _line(config, work, best, tried), {"trials": table}, {"search": _figure(config, tried)}, metrics,
        notes=_notes(work), printed={"trials": _best_first(table)}, conclusions=can, limits=cannot,
    )  # fmt: skip


def _all_tried(config: Any, work: Work, how: Searched) -> list[Tried]:
    """Run all trials, batch by batch."""
    given, tried = config.search, list[Tried]()
    for batch, first in enumerate(range(1, given.trials + 1, given.batch)):
        count = min(given.batch, given.trials + 1 - first)
        draws = drawn(given, batch, count, tried)
        if not draws:
            work.tell(f"all {len(tried) - 1} settings of the search's space are tried")
            break
        trials = [SearchTrial(first + k, as_text(one)) for k, one in enumerate(draws)]
        if batch == 0:
            trials.insert(0, SearchTrial(0, "{}"))
        earlier = [dict(one.steps) for one in tried if one.state == COMPLETE] if given.prune else []
        results = work.run(trials, partial(try_settings, config, how, Pruning(earlier)), needed=False)
        tried += _as_tried(trials, results)
        write_journal(work.folder / JOURNAL, config.name, given, tried)
        work.tell(_progress(given.trials, tried))
    return tried


def _as_tried(trials: Sequence[SearchTrial], results: Sequence[Result]) -> list[Tried]:
    found = {result.trial: result.summary for result in results}
    tried = []
    for trial in trials:
        summary = found.get(trial, {"state": FAILED})
        steps = {int(step): score for step, score in summary.get("steps", {}).items()}
        tried.append(
            Tried(
                trial.number, json.loads(trial.drawn), summary["state"], summary.get("score"), steps,
                summary.get("sharpe"),
            )
        )  # fmt: skip
    return tried


def _progress(count: int, tried: Sequence[Tried]) -> str:
    scores = [one.score for one in tried if one.state == COMPLETE and one.score is not None]
    best = f"best so far {max(scores):+.4f}" if scores else "none of them to its end"
    return f"{tried[-1].number} of {count} drawings tried, {best}"


def _chosen(config: Any, best: Tried, tried: Sequence[Tried]) -> Any:
    """The experiment with the chosen settings, and what was tried to find them."""
    made = with_settings(config, best.drawn)
    sharpes = [round(one.sharpe, 4) for one in tried if one.sharpe is not None]
    evidence = Evidence(
        agent=config.search.agent_of(config.agents), trials=len(tried), sharpes=sharpes, experiment=config.key
    )
    question = f"Chosen by a search of {len(tried)} settings ({config.key}): {config.question}"
    changes = {"searched": evidence, "name": f"{config.name}_chosen", "question": question}
    return made.model_copy(update=changes)


def _table(tried: Sequence[Tried]) -> pd.DataFrame:
    rows = [
        {
            "trial": one.number, "state": one.state, "score": one.score, "validations": len(one.steps),
            **{key: as_text(value) if isinstance(value, list | dict) else value for key, value in one.drawn.items()},
        }
        for one in tried
    ]  # fmt: skip
    return pd.DataFrame(rows).set_index("trial")


def _best_first(table: pd.DataFrame, count: int = 20) -> pd.DataFrame:
    """The best trials that ran to their end, and the agent's own settings."""
    ended = table[table["state"] == COMPLETE].sort_values("score", ascending=False, kind="stable")
    shown = ended.head(count)
    if 0 in ended.index and 0 not in shown.index:
        shown = pd.concat([shown, ended.loc[[0]]])
    return shown.drop(columns=["state"])


def _line(config: Any, work: Work, best: Tried, tried: Sequence[Tried]) -> str:
    name = config.search.agent_of(config.agents)
    own = tried[0].score if tried[0].state == COMPLETE else None
    against = "" if own is None else f", with the agent's own settings {own:+.4f}"
    which = "the agent's own settings" if best.number == 0 else f"trial {best.number}"
    return (
        f"{config.name}: of {len(tried)} settings of {name}, {which} did best: {best.score:+.4f} log growth a year on "
        f"validation{against}; to run it: gearing study {work.folder / CHOSEN}"
    )


def _conclusions(config: Any, best: Tried, tried: Sequence[Tried]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the search allows to conclude, and what it does not."""
    own, seeds = tried[0], config.search.seeds
    trained = f"{seeds} seed{'s' if seeds > 1 else ''} each, in trainings of the search's own budget"
    if best.number == 0:
        can = f"No drawing of {len(tried) - 1} scored higher than the agent's own settings ({best.score:+.4f} a year)."
    elif own.state == COMPLETE:
        can = (
            f"Trial {best.number} scored {best.score:+.4f} log growth a year on validation, the agent's own settings "
            f"{own.score:+.4f}: {trained}."
        )
    else:
        can = f"Trial {best.number} scored {best.score:+.4f} log growth a year on validation: {trained}."
    ended = sum(one.state == COMPLETE for one in tried)
    cannot = [
        f"How much the chosen settings earn: the best score of {len(tried)} is too high by chance. It chooses and does "
        f"not measure; the test of {CHOSEN} measures.",
        "Which settings are better by how much: other seeds and longer trainings may rank them otherwise.",
    ]
    if ended < len(tried):
        cannot.append(f"What {len(tried) - ended} trials would have reached that were pruned or failed.")
    return (can,), tuple(cannot)


def _notes(work: Work) -> tuple[str, ...]:
    return (
        "Trial 0 has the agent's own settings.",
        f"{work.folder / JOURNAL} is a journal of Optuna with the same trials, for its dashboard.",
    )


@figure_style
def _figure(config: Any, tried: Sequence[Tried]) -> Any:
    """Scores by trial, and the best so far."""
    figure = new_figure(WIDTH, 4.0)
    axes = figure.add_subplot()
    for state, marker in ((COMPLETE, "o"), ("pruned", "x")):
        some = {one.number: float(one.score or 0.0) for one in tried if one.state == state}
        axes.plot(list(some), list(some.values()), marker, ms=4, label=state)
    ended = pd.Series({one.number: one.score for one in tried if one.state == COMPLETE})
    axes.step(ended.index, ended.cummax(), where="post", label="best so far")
    axes.set(xlabel="trial", ylabel="log growth a year, validation", title=config.name)
    legend_below(figure)
    return figure
