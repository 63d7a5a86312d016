"""The manifest of a bundle, stored as JSON and checked when read."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import date
from pathlib import Path
from typing import Any

from gearing.contracts import Contract, MarginTier, TierSchedule, VenueProfile
from gearing.contracts.venues import ContractSpec
from gearing.export.files import BundleError
from gearing.policies.registry import describe_control, make_control
from gearing.simulation.config import SimulationConfig, Slippage

SCHEMA = 1


@dataclass(frozen=True)
class ForecastSpec:
    """A forecast column: its network and features.

    Attributes
    ----------
    column, recipe, horizon : str
    inputs : tuple of str
        Features of a row of its X, in order.
    file : str
    per_year : float
        Horizons a year: volatility = sqrt(variance x per_year).
    lower, upper : float
    """

    column: str
    recipe: str
    horizon: str
    inputs: tuple[str, ...]
    file: str
    per_year: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Manifest:
    """Everything but the networks.

    Attributes
    ----------
    kind : {"network", "rule", "residual"}
        A residual network returns the factor of ``rule``.
    name : str
        The policy's name.
    bar_milliseconds : int
    contracts : tuple of Contract
    venue : VenueProfile
    config : SimulationConfig
        Without action and reward: the policy returns leverage.
    columns : tuple of str
        Market columns of the observation, in order.
    low, high : tuple of float
        Bounds of those columns.
    features : tuple of str
        Those computed from bars.
    signals : tuple of str
        Those given as columns of the bars.
    forecasts : tuple of ForecastSpec
    lookback_bars : int
        Bars required by a decision.
    rule : mapping or None
        Name and parameters, for kinds "rule" and "residual".
    policy : mapping
        The network's algorithm and action scheme; parts and width of a recurrent one's state; leverages that a masked
        one chooses from.
    provenance : mapping
        Origin of the policy.
    """

    kind: str
    name: str
    bar_milliseconds: int
    contracts: tuple[Contract, ...]
    venue: VenueProfile
    config: SimulationConfig
    columns: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    features: tuple[str, ...]
    signals: tuple[str, ...]
    forecasts: tuple[ForecastSpec, ...]
    lookback_bars: int
    rule: Mapping[str, Any] | None = None
    policy: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write as JSON."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        values["contracts"] = [_contract_values(c) for c in self.contracts]
        values["venue"] = {**asdict(self.venue), "specs": {k: asdict(v) for k, v in self.venue.specs.items()}}
        values["config"] = _config_values(self.config)
        values["forecasts"] = [asdict(f) for f in self.forecasts]
        text = json.dumps({"schema": SCHEMA, **values}, indent=1, default=str, allow_nan=False)
        path.write_text(text + "\n")

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read what ``write`` wrote.

        Raises
        ------
        BundleError
            If it cannot be read, or is of another schema.
        """
        try:
            values = json.loads(path.read_text())
        except ValueError as error:
            raise BundleError(f"{path} is not JSON ({error}); export the bundle again.") from error
        schema = values.pop("schema", None)
        if schema != SCHEMA:
            raise BundleError(
                f"{path} has schema {schema!r}, this version of gearing reads {SCHEMA}; export the bundle again, or "
                "install the version that wrote it."
            )
        try:
            return cls._of(values)
        except (KeyError, TypeError) as error:
            raise BundleError(f"{path} is incomplete: {error}. Export the bundle again.") from error

    @classmethod
    def _of(cls, values: dict[str, Any]) -> Manifest:
        for name in ("columns", "low", "high", "features", "signals"):
            values[name] = tuple(values[name])
        values["contracts"] = tuple(_contract(c) for c in values["contracts"])
        values["venue"] = _venue(values["venue"])
        values["config"] = _config(values["config"], values["venue"])
        values["forecasts"] = tuple(
            ForecastSpec(**{**one, "inputs": tuple(one["inputs"])}) for one in values["forecasts"]
        )
        return cls(**values)


def _config_values(config: SimulationConfig) -> dict[str, Any]:
    """Plain values of the settings; without those of training and simulation only."""
    values = {name: getattr(config, name) for name in config.__dataclass_fields__}
    for name in ("action", "reward", "venue", "start", "episode_length"):
        del values[name]
    controls = [describe_control(one) for one in config.controls]
    return {**values, "slippage": asdict(config.slippage), "controls": controls}


def _config(values: dict[str, Any], venue: VenueProfile) -> SimulationConfig:
    made = {
        "slippage": Slippage(**values["slippage"]),
        "controls": tuple(make_control(one) for one in values["controls"]),
        "venue": venue,
    }
    return SimulationConfig(**{**values, **made})


def _contract_values(contract: Contract) -> dict[str, Any]:
    values = {name: getattr(contract, name) for name in contract.__dataclass_fields__}
    values["schedules"] = [
        {
            "as_of": None if s.as_of is None else s.as_of.isoformat(),
            "source": s.source,
            "marginal": s.marginal,
            "tiers": [[None if math.isinf(v) else v for v in asdict(tier).values()] for tier in s.tiers],
        }
        for s in contract.schedules
    ]
    return values


def _contract(values: dict[str, Any]) -> Contract:
    schedules = tuple(
        TierSchedule(
            tiers=tuple(MarginTier(*(math.inf if v is None else v for v in tier)) for tier in s["tiers"]),
            as_of=None if s["as_of"] is None else date.fromisoformat(s["as_of"]),
            source=s["source"],
            marginal=s["marginal"],
        )
        for s in values["schedules"]
    )
    return Contract(**{**values, "schedules": schedules})


def _venue(values: dict[str, Any]) -> VenueProfile:
    return VenueProfile(
        **{
            **values,
            "as_of": date.fromisoformat(values["as_of"]),
            "fee_levels": tuple(tuple(level) for level in values["fee_levels"]),
            "specs": {symbol: ContractSpec(**spec) for symbol, spec in values["specs"].items()},
            "sources": tuple(values["sources"]),
            "notes": tuple(values["notes"]),
        }
    )
