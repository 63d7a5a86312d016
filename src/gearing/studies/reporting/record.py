"""What a report of an experiment is made of, written to its folder: findings, data, what was played, versions."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd

from gearing.evaluation.backtesting import facts_of, version_text
from gearing.evaluation.reports.document import Table
from gearing.evaluation.reports.tables import number_text
from gearing.market import MarketData
from gearing.simulation.config import SimulationConfig
from gearing.storage.atomic import write_json
from gearing.storage.revision import source_revision
from gearing.storage.text import read_json
from gearing.studies.experiment import Act, ExperimentConfig, Findings

RECORD = "findings.json"
_LONGEST, _WIDEST = 60, 14  # rows and columns of a table that is shown; larger ones are only in their file
_LIBRARIES = (
    "numpy", "pandas", "numba", "scipy", "torch", "stable-baselines3", "sb3-contrib", "gymnasium",
    "scikit-learn", "lightgbm", "arch", "onnxruntime",
)  # fmt: skip
_FIELDS = (
    "name", "question", "line", "notes", "conclusions", "limits", "tables", "figures", "markets", "played", "protocol",
    "made_by", "code", "revision", "python", "libraries",
)  # fmt: skip
_PROTOCOL = (
    "decision",
    "exchange",
    "folds",
    "split",
    "statistics",
    "seeds",
    "controls",
    "train",
    "validate_",
    "test",
)


def write_record(config: ExperimentConfig, findings: Findings) -> None:
    """Write all that a report needs besides tables, figures and the comparison."""
    shown = shown_tables(findings)
    record = {
        "name": config.name, "kind": config.kind, "question": config.question, "line": findings.line,
        "notes": list(findings.notes), "conclusions": list(findings.conclusions), "limits": list(findings.limits),
        "tables": {name: _stored(shown.get(name), len(table)) for name, table in findings.tables.items()},
        "figures": list(findings.figures), "markets": _markets(config, findings), "played": _played(config),
        "acts": [_act(act) for act in findings.acts], "protocol": _protocol(config), "made_by": version_text(),
        "code": config.code,
        "revision": source_revision(), "python": platform.python_version(), "libraries": dict(_versions(_LIBRARIES)),
    }  # fmt: skip
    write_json(config.folder / RECORD, record)


def read_record(folder: Path) -> dict[str, Any]:
    """What `write_record` wrote.

    Raises
    ------
    ValueError
        If the folder is no finished experiment's.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder; give the one that `gearing study` prints as results.")
    if not (folder / "experiment.yaml").is_file():
        raise ValueError(
            f"{folder} holds no experiment.yaml; give the folder that `gearing study` prints as results."
        )
    if not (folder / RECORD).is_file():
        raise ValueError(
            f"{folder} holds no {RECORD}: its experiment has not finished, or was made by an earlier "
            f"version. "
            f"`gearing study {folder / 'experiment.yaml'}` finishes it; what is done stays."
        )
    record = read_json(folder / RECORD, dict)
    missing = [name for name in _FIELDS if name not in record]
    if missing:
        raise ValueError(
            f"{folder / RECORD} is damaged: it has no {missing[0]}. Run the study again: finished trials stay."
        )
    return record


def shown_tables(findings: Findings) -> dict[str, pd.DataFrame]:
    """Tables small enough to be read, as text."""
    tables = {
        name: findings.printed.get(name, table)
        for name, table in findings.tables.items()
        if name not in findings.only_files
    }
    return {
        name: as_texts(table)
        for name, table in tables.items()
        if name in findings.printed or (len(table) <= _LONGEST and table.shape[1] <= _WIDEST)
    }


def as_texts(table: pd.DataFrame) -> pd.DataFrame:
    """The table with numbers as short texts."""
    flat = table.reset_index().map(_as_text)
    return flat.set_index(list(flat.columns[: table.index.nlevels]))


def _as_text(value: Any) -> str:
    if isinstance(value, float):
        return number_text("{:.4g}", value)
    return str(value)


def _act(act: Act) -> dict[str, Any]:
    about: dict[str, Any] = {
        name: getattr(act, name) for name in ("name", "question", "line", "figure", "can", "cannot")
    }
    return about | {"table": _stored(act.printed, len(act.printed))}


def _stored(shown: pd.DataFrame | None, count: int) -> dict[str, Any]:
    """A table as text, or only how many rows its file has."""
    if shown is None:
        return {"rows_in_file": count}
    table = Table(shown)
    return {"rows_in_file": count, "head": table.head, "names": table.left, "rows": table.rows}


def _markets(config: ExperimentConfig, findings: Findings) -> dict[str, dict[str, Any]]:
    """Of every market what it is, venue and fees, fingerprint, and what was done to the data."""
    return {name: _market_facts(market, _account(config)) for name, market in findings.markets.items()}


def _market_facts(market: MarketData, account: SimulationConfig) -> dict[str, Any]:
    facts = facts_of(market, account)
    return {
        "data": repr(market), **{fact: facts[fact] for fact in ("venue", "fees", "fingerprint")},
        "generated": market.truth is not None, "notes": list(market.notes),
    }  # fmt: skip


def _account(config: Any) -> SimulationConfig:
    """Settings of the exchange, where the experiment has any."""
    exchange = getattr(config, "exchange", None)
    return SimulationConfig(**({} if exchange is None else exchange.settings))


def _played(config: Any) -> dict[str, str]:
    """Rules with all their parameters, and agents with what they change of their algorithm's."""
    rules, agents = getattr(config, "rules", {}), getattr(config, "agents", {})
    played = {name: repr(rule.make()) for name, rule in rules.items()}
    for name, agent in agents.items():
        played[name] = str(agent.model_dump(mode="json", exclude_defaults=True))
    return played


def _protocol(config: ExperimentConfig) -> dict[str, str]:
    """Settings that say how policies were judged, section by section."""
    found = {}
    for name in _PROTOCOL:
        value = getattr(config, name, None)
        if value not in (None, [], {}):
            found[name.rstrip("_")] = _flat(
                value.model_dump(mode="json", by_alias=True) if hasattr(value, "model_dump") else value
            )
    return found


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_flat(one)}" for key, one in value.items() if one not in (None, [], {}))
    if isinstance(value, list):
        return "; ".join(map(_flat, value))
    return _flat(value.model_dump(mode="json", by_alias=True)) if hasattr(value, "model_dump") else str(value)


def _versions(libraries: Iterable[str]) -> Iterable[tuple[str, str]]:
    for name in libraries:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue
