"""Comparisons of several studies joined to one, where their scores are of the same tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import pandas as pd

from gearing.evaluation.comparisons.comparison import Comparison, StudyFacts
from gearing.evaluation.comparisons.scores import POLICY, SCORE, SEED, TASK, common_tasks

_TABLES = ("scores", "curves", "days")


def joined(parts: Mapping[str, Comparison], baseline: str | None = None) -> Comparison:
    """One comparison of several studies by name.

    A policy that several studies have counts once where all its scores are the same; otherwise each is named with its
    study, as in "ppo (small)". What differs without making scores incomparable, such as code and sizes, is a note.

    Raises
    ------
    ValueError
        If the studies differ in what their scores are, in data or in fees, or share no task.
    """
    named = {name: _named(part, name) for name, part in parts.items()}
    facts = tuple(replace(part.studies[0], name=name) for name, part in named.items())
    for one, other in combinations(facts, 2):
        _check_comparable(one, other)
    tables = {table: _stacked([getattr(p, table) for p in named.values()]) for table in _TABLES}
    repeated, clashing = _shared_policies(named)
    tables = {name: _without_repetition(table, repeated, clashing) for name, table in tables.items()}
    notes = [*dict.fromkeys(note for part in named.values() for note in part.notes), *_differences(facts)]
    first = next(iter(named.values()))
    chosen = baseline or _first_baseline(named, clashing)
    whole = replace(first, **tables, studies=facts, baseline=chosen, notes=tuple(notes))
    _check_overlap(named, whole)
    return whole


def _named(part: Comparison, name: str) -> Comparison:
    """A comparison whose study is called by a given name."""
    tables = {table: getattr(part, table).assign(study=name) for table in _TABLES}
    return replace(part, **tables)


def _stacked(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    full = [table for table in tables if not table.empty]
    return pd.concat(full, ignore_index=True) if full else tables[0]


def _shared_policies(parts: Mapping[str, Comparison]) -> tuple[list[tuple[str, str]], list[str]]:
    """(policy, study) of repetitions of what an earlier study has, and policies whose scores differ between studies."""
    repeated, clashing = [], []
    for policy in dict.fromkeys(name for part in parts.values() for name in part.scores[POLICY]):
        own = {study: _scores(part, policy) for study, part in parts.items()}
        own = {study: scores for study, scores in own.items() if len(scores)}
        first, *others = own.values()
        if all(first.equals(other) for other in others):
            repeated += [(policy, study) for study in list(own)[1:]]
        else:
            clashing.append(policy)
    return repeated, clashing


def _scores(part: Comparison, policy: str) -> pd.Series:
    rows = part.scores[part.scores[POLICY] == policy]
    return rows.set_index([TASK, SEED])[SCORE].sort_index()


def _without_repetition(
    table: pd.DataFrame, repeated: Sequence[tuple[str, str]], clashing: Sequence[str]
) -> pd.DataFrame:
    if table.empty:
        return table
    pairs = list(zip(table[POLICY], table["study"], strict=True))
    kept = table[[pair not in set(repeated) for pair in pairs]].reset_index(drop=True)
    names = [
        f"{policy} ({study})" if policy in clashing else policy
        for policy, study in zip(kept[POLICY], kept["study"], strict=True)
    ]
    return kept.assign(**{POLICY: names})


def _first_baseline(parts: Mapping[str, Comparison], clashing: Sequence[str]) -> str:
    study, part = next(iter(parts.items()))
    return f"{part.baseline} ({study})" if part.baseline in clashing else part.baseline


def _check_comparable(one: StudyFacts, other: StudyFacts) -> None:
    """Refuse scores of different units, markets, data or fees."""
    if one.unit != other.unit:
        raise ValueError(
            f"{one.name} and {other.name} cannot be compared: scores of {one.name} are the {one.unit}, those of "
            f"{other.name} the {other.unit}."
        )
    for name in one.data.keys() & other.data.keys():
        if one.data[name] != other.data[name]:
            raise ValueError(
                f"{one.name} and {other.name} cannot be compared: they have different data of {name} (fingerprints "
                f"{one.data[name][:12]} and {other.data[name][:12]}). Run both on the same data."
            )
    changed = differing(one.task, other.task)
    if changed:
        raise ValueError(
            f"{one.name} and {other.name} cannot be compared: {_list_of(changed)}. Run both with the same."
        )


def differing(
    one: Mapping[str, Any], other: Mapping[str, Any], prefix: str = ""
) -> dict[str, tuple[Any, Any]]:
    """Settings that differ, by their dotted names."""
    found: dict[str, tuple[Any, Any]] = {}
    for key in dict.fromkeys((*one, *other)):
        mine, theirs = one.get(key), other.get(key)
        if isinstance(mine, dict) and isinstance(theirs, dict):
            found |= differing(mine, theirs, f"{prefix}{key}.")
        elif mine != theirs:
            found[f"{prefix}{key}"] = (mine, theirs)
    return found


def _list_of(changed: Mapping[str, tuple[Any, Any]]) -> str:
    return "; ".join(
        f"{key} is {mine} in one and {theirs} in the other" for key, (mine, theirs) in changed.items()
    )


def _differences(facts: Sequence[StudyFacts]) -> list[str]:
    """Notes on what differs between studies that can be compared."""
    notes = []
    first, *others = facts
    for other in others:
        changed = differing(first.account, other.account)
        if changed:
            notes.append(
                f"The accounts of {first.name} and {other.name} differ, so that policies differ by that too: "
                f"{_list_of(changed)}."
            )
        if first.code != other.code:
            notes.append(
                f"{first.name} and {other.name} were made by different code ({first.code} and {other.code})."
            )
    return notes


def _check_overlap(parts: Mapping[str, Comparison], whole: Comparison) -> None:
    """Refuse studies of which one shares no task with the others."""
    tasks, _ = common_tasks(whole.scores, whole.baseline)
    for name, part in parts.items():
        if not set(part.scores[TASK]) & set(tasks):
            raise ValueError(
                f"{name} shares no task with the other studies, so nothing can be compared. It has {_some(part)}; the "
                f"others have {'; '.join(tasks[:3])}."
            )


def _some(part: Comparison) -> str:
    own = list(dict.fromkeys(part.scores[TASK]))
    return "; ".join(own[:3]) + (f" and {len(own) - 3} more" if len(own) > 3 else "")
