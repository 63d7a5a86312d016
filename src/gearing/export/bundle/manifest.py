"""The manifest of a bundle, stored as JSON and checked when read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from gearing.contracts import Contract, VenueProfile
from gearing.export.bundle.files import LARGEST_TEXT, BundleError
from gearing.features import FeatureSet, parse_duration
from gearing.names import check_names, is_file_name
from gearing.policies.registry import describe_control, make_control, make_rule
from gearing.simulation.config import SimulationConfig
from gearing.simulation.kernel_records import contract_records
from gearing.simulation.tape import decision_bars
from gearing.storage.text import decoded, parse_json

SCHEMA = 2
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

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols of the contracts, in order."""
        return tuple(contract.symbol for contract in self.contracts)

    @property
    def bar(self) -> np.timedelta64:
        """Length of a bar."""
        return np.timedelta64(self.bar_milliseconds, "ms")

    def write(self, path: Path) -> None:
        """Write as JSON."""
        # Reading turns integers given for fractional settings into floats; what is written is already so.
        values = _plain(_read(_plain(self)))
        text = to_json({"schema": SCHEMA, **values}, indent=1, inf_nan_mode="strings", fallback=str)
        path.write_bytes(text + b"\n")

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read what ``write`` wrote.

        Raises
        ------
        BundleError
            If it cannot be read, or is of another schema.
        """
        return cls.parse(path.read_bytes()[: LARGEST_TEXT + 1], str(path))

    @classmethod
    def parse(cls, content: bytes, where: str) -> Manifest:
        """The manifest in a file's bytes; ``where`` names the file in messages.

        Raises
        ------
        BundleError
            If it cannot be read, or is of another schema.
        """
        try:
            values = parse_json(decoded(content, where), where, dict)
        except ValueError as error:
            raise BundleError(f"{error} Export the bundle again.") from error
        schema = values.pop("schema", None)
        if schema != SCHEMA:
            raise BundleError(
                f"{where} has schema {schema!r}, this version of gearing reads {SCHEMA}; export the bundle again, or "
                "install the version that wrote it."
            )
        try:
            manifest = _read(values)
            _refuse_unknown(values, _plain(manifest), where)
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


def _reason(error: Exception) -> str:
    """What is wrong, in one line."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        if first["type"] == "value_error":  # raised by the part itself
            return str(first["ctx"]["error"]).rstrip(".")
        return f"{'.'.join(map(str, first['loc'])) or 'the whole'} is {str(first['input'])[:80]!r}"
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


def _refuse_unknown(given: Any, known: Any, where: str, path: str = "") -> None:
    """Refuse a field that reading left out: it would change nothing."""
    if isinstance(given, Mapping) and isinstance(known, Mapping):
        check_names(
            f"{where}: no field",
            (path + str(name) for name in given),
            (path + str(k) for k in known),
            BundleError,
        )
        for name, value in given.items():
            _refuse_unknown(value, known[name], where, f"{path}{name}.")
    elif isinstance(given, list) and isinstance(known, list | tuple):
        for number, (one, other) in enumerate(zip(given, known, strict=True)):
            _refuse_unknown(one, other, where, f"{path}{number}.")


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
    if manifest.rule is not None:
        make_rule(manifest.rule)
    _check_network(manifest.policy)


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
    values = _adapter().dump_python(manifest, exclude={"config": _LEFT_OUT})
    values["config"]["controls"] = [describe_control(one) for one in manifest.config.controls]
    return values


def _read(values: dict[str, Any]) -> Manifest:
    config, venue = values["config"], values["venue"]
    controls = [make_control(one) for one in config["controls"]]
    return _adapter().validate_python({**values, "config": {**config, "controls": controls, "venue": venue}})


@cache
def _adapter() -> TypeAdapter[Manifest]:
    """Writes and reads the dataclasses of a manifest by their annotations."""
    return TypeAdapter(Manifest)
