"""Settings of the account that a policy was trained for, as plain values that are saved with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from gearing.contracts import VenueProfile, venue, venue_names
from gearing.names import shown
from gearing.policies import describe_control, make_control
from gearing.simulation.config import Slippage


def describe_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as plain values; ``make_settings`` takes them back.

    Raises
    ------
    ValueError
        For a risk control or a venue that is not registered, whose name could not be saved.
    """
    return {name: _described(name, value) for name, value in settings.items()}


def _described(name: str, value: Any) -> Any:
    if name == "controls":
        return [describe_control(control) for control in value]
    if isinstance(value, Slippage):
        return asdict(value)
    if isinstance(value, VenueProfile):
        if value.name not in venue_names() or venue(value.name) != value:
            raise ValueError(
                f"venue is {shown(value)}, which is not registered, so a policy cannot be saved with it; "
                "register it first: gearing.contracts.register_venue(...)."
            )
        return value.name
    return json.loads(json.dumps(value))


def make_settings(described: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that ``describe_settings`` described."""
    return {name: _made(name, value) for name, value in described.items()}


def _made(name: str, value: Any) -> Any:
    if name == "controls":
        return tuple(make_control(control) for control in value)
    if name == "slippage" and isinstance(value, Mapping):
        return Slippage(**value)
    return tuple(value) if isinstance(value, list) else value
