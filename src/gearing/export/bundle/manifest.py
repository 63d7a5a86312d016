"""The manifest of a bundle, stored as JSON and checked when read. Reading needs numpy only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from gearing.contracts import Contract, VenueProfile
from gearing.export.bundle.files import LARGEST_TEXT, BundleError
from gearing.export.bundle.plain import made, plain
from gearing.export.bundle.ranges import Ranges
from gearing.features import FeatureSet, get_feature, parse_duration
from gearing.names import is_file_name
from gearing.policies.registry import describe_control, make_control, make_rule
from gearing.simulation.config import SimulationConfig
from gearing.simulation.kernel_records import contract_records
from gearing.simulation.tape import decision_bars
from gearing.storage.text import decoded, parse_json

FORMAT = 2
KINDS = ("network", "rule", "residual")
_LONGEST_BAR = 7 * 86_400_000  # milliseconds
_MOST_BARS = 10_000_000  # of a look-back
_WIDEST = 65_536  # parts, or width, of a network's state
# Settings of training and simulation only; the venue is stored once, the controls by name.
_LEFT_OUT = {"action", "reward", "venue", "start", "episode_length", "controls"}


@dataclass(frozen=True)
class ForecastSpec:
    """A forecast column: its network and features."""

    column: str
    recipe: str
    horizon: str
    inputs: tuple[str, ...]  # features of a row of its X, in order
    file: str
    per_year: float  # horizons a year: volatility = sqrt(variance x per_year)
    lower: float
    upper: float


@dataclass(frozen=True)
class DeclaredFeature:
    """A feature as it was declared when the policy was trained; its name holds its parameters."""

    name: str
    lookback: tuple[str, ...]
    unit: str
    lower: float
    upper: float
    source: str

    @classmethod
    def of(cls, name: str) -> DeclaredFeature:
        """As it is declared here."""
        f = get_feature(name)
        return cls(f.name, f.lookback, f.unit, float(f.lower), float(f.upper), f.source)


@dataclass(frozen=True)
class Manifest:
    """Everything but the networks."""

    kind: str  # "network", "rule", or "residual": a network that returns the factor of ``rule``
    name: str  # of the policy
    bar_milliseconds: int
    contracts: tuple[Contract, ...]
    venue: VenueProfile
    config: SimulationConfig  # without action and reward: the policy returns leverage
    columns: tuple[str, ...]  # market columns of the observation, in order
    low: tuple[float, ...]  # bounds of those columns
    high: tuple[float, ...]
    features: tuple[str, ...]  # columns computed from bars
    signals: tuple[str, ...]  # columns given with the bars
    forecasts: tuple[ForecastSpec, ...]
    lookback_bars: int  # bars that a decision requires
    rule: Mapping[str, Any] | None = None  # name and parameters, for kinds "rule" and "residual"
    # The network's algorithm and action scheme; parts and width of a recurrent one's state; leverages that a masked
    # one chooses from.
    policy: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)  # origin of the policy
    declared: tuple[DeclaredFeature, ...] = ()  # features of the columns and of the forecasts
    seen: Ranges | None = None  # market columns in training
    evaluation: Mapping[str, Any] = field(default_factory=dict)  # results of the policy, with intervals
    budget: Mapping[str, Any] = field(default_factory=dict)  # promised against realised risk

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """Symbols of the contracts, in order."""
        return tuple(contract.symbol for contract in self.contracts)

    @cached_property
    def bar(self) -> np.timedelta64:
        """Length of a bar."""
        return np.timedelta64(self.bar_milliseconds, "ms")

    def bounded(self, signals: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Signal columns within their bounds, single precision."""
        low, high = (
            dict(zip(self.columns, self.low, strict=True)),
            dict(zip(self.columns, self.high, strict=True)),
        )
        return {name: np.clip(v.astype(np.float32), low[name], high[name]) for name, v in signals.items()}

    def write(self, path: Path) -> None:
        """Write as JSON."""
        values = _plain(_read(_plain(self)))  # integers given for fractional settings are floats then
        text = json.dumps({"format": FORMAT, **values}, indent=1, allow_nan=False, ensure_ascii=False)
        path.write_bytes(text.encode() + b"\n")

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read what ``write`` wrote.

        Raises
        ------
        BundleError
            If it cannot be read, or is of another format.
        """
        return cls.parse(path.read_bytes()[: LARGEST_TEXT + 1], str(path))

    @classmethod
    def parse(cls, content: bytes, where: str) -> Manifest:
        """The manifest in a file's bytes; ``where`` names the file in messages.

        Raises
        ------
        BundleError
            If it cannot be read, or is of another format.
        """
        try:
            values = parse_json(decoded(content, where), where, dict)
        except ValueError as error:
            raise BundleError(f"{error} Export the bundle again.") from error
        _check_format(values, where)
        try:
            manifest = _read(values)
            _check(manifest, where)
            _check_parts(manifest)
        except BundleError:
            raise
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise BundleError(
                f"{where} cannot be used: {_reason(error)}. Export the bundle again; names of a plugin are known "
                "once it is loaded (--plugins)."
            ) from error
        return manifest


def _check_format(values: dict[str, Any], where: str) -> None:
    """Refuse bundles of other versions; those of version 1 had a ``schema`` instead."""
    if (found := values.pop("format", None)) == FORMAT:
        return
    old = f"version 1 (schema {values['schema']!r})" if "schema" in values else f"version {found!r}"
    raise BundleError(
        f"{where} is a bundle of {old}; this version of gearing reads version {FORMAT}. Export it again from its study "
        "(gearing export STUDY_FOLDER), or install the version that wrote it."
    )


def _reason(error: Exception) -> str:
    """What is wrong, in one line."""
    if type(error) is ValueError:
        return str(error).rstrip(".")
    return "a part is missing or of another type"


def _check(manifest: Manifest, where: str) -> None:
    """Refuse names of files with a path, and parts that do not fit together."""
    for spec in manifest.forecasts:
        if not is_file_name(spec.file):
            raise BundleError(
                f"{where}: the forecast {spec.column!r} is in {spec.file!r}, which is no plain name of a file in the "
                "bundle; export the bundle again."
            )
    known = {*manifest.features, *manifest.signals, *(spec.column for spec in manifest.forecasts)}
    wrong = [name for name in manifest.columns if name not in known]
    if wrong or not len(manifest.columns) == len(manifest.low) == len(manifest.high):
        raise BundleError(
            f"{where}: every column needs two bounds and a source; "
            f"{wrong[0] if wrong else 'a bound'} has none. Export the bundle again."
        )
    sized = 0 < manifest.bar_milliseconds <= _LONGEST_BAR and 0 < manifest.lookback_bars <= _MOST_BARS
    if manifest.kind not in KINDS or not sized or not manifest.contracts:
        raise BundleError(
            f"{where}: kind {manifest.kind!r}, {len(manifest.contracts)} contracts, bars of "
            f"{manifest.bar_milliseconds} ms and a look-back of {manifest.lookback_bars} bars are no bundle; export it "
            "again."
        )
    if (manifest.kind != "network") != (manifest.rule is not None):
        raise BundleError(f"{where}: a bundle of kind {manifest.kind!r} names no rule; export it again.")


def _check_parts(manifest: Manifest) -> None:
    """Raise ValueError or TypeError for parts that do not work together, before anything is decided."""
    config = manifest.config
    interval = parse_duration(config.decision_interval)
    if not interval > np.timedelta64(0, "ms"):
        raise ValueError(f"decision_interval {config.decision_interval!r} is zero")
    decision_bars(np.array([0], "datetime64[ms]"), interval, manifest.bar)
    contract_records(manifest.contracts, manifest.venue, config)
    grids = [size for one in manifest.contracts for size in (one.tick_size, one.lot_size)]
    if not np.isfinite(grids).all() or manifest.venue.leverage_step > 1.0:
        raise ValueError("tick_size and lot_size must be finite, leverage_step at most 1")
    if not all(low <= high for low, high in zip(manifest.low, manifest.high, strict=True)):
        raise ValueError("the lower bound of a column is above the upper one, or no number")
    if config.signal_column is not None and config.signal_column not in manifest.columns:
        raise ValueError(f"direction {config.direction!r} reads a column that the bundle does not have")
    for names in (manifest.features, *(spec.inputs for spec in manifest.forecasts)):
        if names:
            FeatureSet(list(names))
    for one in manifest.declared:
        if DeclaredFeature.of(one.name) != one:
            raise ValueError(
                f"the feature {one.name!r} was declared in another way (lookback {', '.join(one.lookback)}, bounds "
                f"{one.lower:g} to {one.upper:g}) when the policy was trained"
            )
    if manifest.seen is not None and len({len(manifest.columns), *map(len, _columns_of(manifest.seen))}) > 1:
        raise ValueError("the ranges of training are not those of the columns")
    if manifest.rule is not None:
        make_rule(manifest.rule)
    _check_network(manifest.policy)


def _columns_of(seen: Ranges) -> tuple[tuple[Any, ...], ...]:
    return seen.low, seen.high, seen.centre, seen.scale, seen.inverse, *seen.inverse


def _check_network(about: Mapping[str, Any]) -> None:
    """Raise ValueError for a state or leverages that no network has."""
    state, levels = about.get("state"), about.get("masked_levels")
    if state is not None and not (
        isinstance(state, list)
        and len(state) == 2
        and all(type(n) is int and 0 < n <= _WIDEST for n in state)
    ):
        raise ValueError(f"the network's state is {str(state)[:80]}; it must be two counts, parts and width")
    if levels is not None and not (
        isinstance(levels, list) and levels and all(type(x) in (int, float) and x >= 0.0 for x in levels)
    ):
        raise ValueError(f"masked_levels is {str(levels)[:80]}; it must be a list of leverages")


def _plain(manifest: Manifest) -> dict[str, Any]:
    values: dict[str, Any] = plain(manifest)
    config = {name: value for name, value in values["config"].items() if name not in _LEFT_OUT}
    config["controls"] = [plain(describe_control(one)) for one in manifest.config.controls]
    return {**values, "config": config}


def _read(values: dict[str, Any]) -> Manifest:
    if missing := [one.name for one in fields(Manifest) if one.name not in values]:
        raise ValueError(f"the section {missing[0]!r} is missing")
    config = values["config"]
    controls = tuple(make_control(_tuples(one)) for one in config["controls"])
    left = {name: value for name, value in config.items() if name != "controls"}
    if unknown := sorted(_LEFT_OUT & left.keys()):
        raise ValueError(f"config.{unknown[0]} is no setting of a bundle")
    manifest: Manifest = made(Manifest, {**values, "config": left})
    return replace(manifest, config=replace(manifest.config, controls=controls, venue=manifest.venue))


def _tuples(given: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters with lists as tuples, as dataclasses hold them."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
