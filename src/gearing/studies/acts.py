"""Experiments in several acts: each act is an experiment of its own kind, and all are one folder, run and report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from gearing.studies.experiment import (
    Act,
    ExperimentConfig,
    Findings,
    Headline,
    check_before_run,
    function_of,
)
from gearing.studies.reporting.conclusions import conclusions_of
from gearing.studies.reporting.record import as_texts
from gearing.studies.work import Work

_SENTENCES = 4  # of an act that its section of the report shows


def played(config: ExperimentConfig, work: Work) -> Findings:
    """What an experiment found; with acts, what all of them found, one after the other.

    The tables and figures of an act bear its name: ``ACT`` is its headline, ``ACT-TABLE`` another table.
    """
    for one in (config, *(config.acts or {}).values()):
        check_before_run(one)
    if not config.acts:
        return _run(config, work)
    _check_names(config.acts, {config.kind, "leaderboard", "failed"})
    count, found = len(config.acts) + 1, {}
    for number, (name, act) in enumerate(config.acts.items(), start=1):
        work.tell(f"act {number} of {count}, {name}: {act.question}")
        own = act.as_act_of(config, name)
        found[name] = _run(own, work.act(own))
    work.tell(f"act {count} of {count}, {config.kind}")
    return _joined(config, found, _run(config, work))


def _check_names(acts: Iterable[str], taken: Iterable[str]) -> None:
    for name in sorted({*acts} & {*taken}):
        raise ValueError(f"acts.{name}: a table or figure of the experiment has this name. Rename the act.")


def _run(config: ExperimentConfig, work: Work) -> Findings:
    return function_of(config.kind)(config, work)


def _joined(config: ExperimentConfig, acts: Mapping[str, Findings], last: Findings) -> Findings:
    """The findings of an experiment with those of its acts; its own table stays the first one."""
    tables, metrics, markets = dict(last.tables), dict(last.metrics), dict(last.markets)
    figures: dict[str, Any] = {}
    shown = []
    _check_names(acts, tables)
    for name, found in acts.items():
        headline = _headline(found)
        tables |= {name: headline.table} | {f"{name}-{table}": one for table, one in found.tables.items()}
        figures |= {} if headline.figure is None else {name: headline.figure}
        metrics |= {f"{name}/{metric}": value for metric, value in found.metrics.items()}
        markets = {**found.markets, **markets}
        shown.append(_act(name, (config.acts or {})[name].question, found, headline))
    headline = _headline(last)
    figures |= {} if headline.figure is None else {config.kind: headline.figure}
    own = replace(
        _act(config.kind, "", last, headline), can=(), cannot=()
    )  # the report has them after the acts
    shown.append(own)
    return replace(
        last, line=" | ".join(one.line for one in shown), tables=tables, figures=figures, metrics=metrics,
        markets=markets, notes=(*(note for found in acts.values() for note in found.notes), *last.notes),
        acts=tuple(shown), only_files=frozenset(tables.keys() - last.printed.keys()),
    )  # fmt: skip


def _headline(found: Findings) -> Headline:
    """What stands for the findings: their headline, else their first table and figure."""
    if found.headline is not None:
        return found.headline
    name, table = next(iter(found.tables.items()))
    printed: pd.DataFrame = found.printed[name] if name in found.printed else as_texts(table)
    return Headline(table, printed, next(iter(found.figures.values()), None))


def _act(name: str, question: str, found: Findings, headline: Headline) -> Act:
    can, cannot = list(found.conclusions), list(found.limits)
    if found.comparison is not None:
        sentences = conclusions_of(found.comparison)
        can, cannot = [*can, *sentences.can], [*cannot, *sentences.cannot]
    figure: Any = None if headline.figure is None else name
    shown = (tuple(sentences[:_SENTENCES]) for sentences in (can, cannot))
    return Act(name, question, headline.line or found.line, headline.printed, figure, *shown)
