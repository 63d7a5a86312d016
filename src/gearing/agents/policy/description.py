"""Descriptions of learned policies, from which weights rebuild them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gearing.simulation.simulator import Simulator


@dataclass(frozen=True)
class PolicyDescription:
    """Everything needed to rebuild a learned policy, except its weights."""

    algorithm: str
    names: tuple[str, ...]  # every column of the observation it was trained on, in order
    low: tuple[float, ...]  # bounds of those columns
    high: tuple[float, ...]
    columns: tuple[str, ...]  # market columns among them, without the contract's name
    slots: tuple[str, ...]
    scheme: Mapping[str, Any]  # action scheme and its parameters; a base rule by name
    network: Mapping[str, Any]  # arguments of the network besides its weights
    training: Mapping[str, Any] = field(default_factory=dict)  # seed, spans, fingerprints of the data

    @classmethod
    def of(cls, algorithm: str, simulator: Simulator, **about: Any) -> PolicyDescription:
        """Description of a policy that is trained on a simulator's observations; ``about`` are the other fields."""
        layout = simulator.layout
        low, high = tuple(layout.low.tolist()), tuple(layout.high.tolist())
        return cls(algorithm, layout.names, low, high, layout.columns, simulator.slots, **about)
