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
from gearing.export.files import LARGEST_TEXT, BundleError
from gearing.names import is_file_name
from gearing.policies.registry import describe_control, make_control
from gearing.simulation.config import SimulationConfig
from gearing.storage.text import decoded, parse_json

SCHEMA = 2
KINDS = ("network", "rule", "residual")
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
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise BundleError(
                f"{where} cannot be used: {_reason(error)}. Export the bundle again."
            ) from error
        _check(manifest, where)
        return manifest


def _reason(error: Exception) -> str:
    """What is wrong, in one line."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        return f"{'.'.join(map(str, first['loc'])) or 'the whole'} is {str(first['input'])[:80]!r}"
    if isinstance(error, BundleError) or type(error) is ValueError:
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
    if manifest.kind not in KINDS or manifest.bar_milliseconds <= 0 or manifest.lookback_bars < 1:
        raise BundleError(
            f"{where}: kind {manifest.kind!r}, bars of {manifest.bar_milliseconds} ms and a look-back of "
            f"{manifest.lookback_bars} bars are no bundle; export it again."
        )
    if (manifest.kind != "network") != (manifest.rule is not None):
        raise BundleError(f"{where}: a bundle of kind {manifest.kind!r} names no rule; export it again.")


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
