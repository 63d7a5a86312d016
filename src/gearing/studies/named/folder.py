"""Policies in folders: bundles, and trained agents of a study (a trial's folder)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gearing.export.bundle.files import MANIFEST
from gearing.export.playing import BundlePolicy, outside_training, overlap_with_training
from gearing.export.runtime import load_bundle
from gearing.features import FeatureTable
from gearing.market import MarketData
from gearing.storage.digest import digest, file_digest

_AGENT, _WEIGHTS, _TRIAL = "policy.json", "weights.npz", "policy"  # of an agent, and its folder in a trial's
_BUNDLE = "bundle"


def is_policy_folder(name: str) -> bool:
    """Whether a text names a folder that holds a policy."""
    return _found(Path(name)) is not None


def open_folder(name: str) -> Any:
    """The policy of a folder: a bundle, a study with a bundle, a trial of a study, or a saved agent.

    Raises
    ------
    BundleError, ValueError
        For a damaged one, or a bundle that a simulation cannot play.
    """
    kind, folder = _found(Path(name)) or ("", Path(name))
    if kind == _BUNDLE:
        return BundlePolicy(load_bundle(folder))
    from gearing.agents import load_policy

    return load_policy(folder)


def folder_digest(name: str) -> str:
    """Hash of what the folder's policy is made of."""
    kind, folder = _found(Path(name)) or ("", Path(name))
    if kind == _BUNDLE:
        return load_bundle(folder).digest
    return digest([file_digest(folder / file) for file in (_AGENT, _WEIGHTS)])


def notes_on(policy: Any, market: MarketData, table: FeatureTable) -> list[str]:
    """What a reader of a policy's result must know: data of its training, and data outside what it has seen there.

    Parameters
    ----------
    table : FeatureTable
        With all columns that the policy reads.
    """
    if isinstance(policy, BundlePolicy):
        return [*overlap_with_training(policy, market.symbols, table), *outside_training(policy, table)]
    description = getattr(policy, "description", None)
    scaling = None if description is None else dict(description.network).get("scaling")
    return [] if not scaling else _clipped(description, scaling, table)


def _found(path: Path) -> tuple[str, Path] | None:
    """Kind and place of the policy in a folder."""
    for folder in (path, path / _BUNDLE):
        if (folder / MANIFEST).is_file():
            return _BUNDLE, folder
    for folder in (path, path / _TRIAL):
        if (folder / _AGENT).is_file():
            return _AGENT, folder
    return None


def _clipped(description: Any, scaling: dict[str, Any], table: FeatureTable) -> list[str]:
    """Columns of which some values lie beyond the scaled range at which the agent's first layer clips."""
    notes, clip = [], float(scaling["clip"])
    for k, name in enumerate(description.names):
        if k in set(scaling["keep"]) and name in table.columns:
            values = table.column(name).astype(np.float64)
            values = values[np.isfinite(values)]
            beyond = float((np.abs(values - scaling["centre"][k]) > clip * scaling["spread"][k]).mean())
            if beyond:
                notes.append(
                    f"{name}: {beyond:.1%} of the bars beyond the {clip:g} scaled deviations of training at which the "
                    "agent's first layer clips"
                )
    return notes
