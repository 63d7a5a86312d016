"""Descriptions of learned policies, from which weights rebuild them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gearing.simulation.simulator import Simulator


@dataclass(frozen=True)
class PolicyDescription:
    """Everything needed to rebuild a learned policy, except its weights.

    Attributes
    ----------
    algorithm : str
    names : tuple of str
        Every column of the observation it was trained on, in order.
    low, high : tuple of float
        Their bounds.
    columns : tuple of str
        Market columns among them, without the contract's name.
    slots : tuple of str
    scheme : mapping
        Action scheme and its parameters; a base rule by name.
    network : mapping
        Arguments of the network besides its weights.
    training : mapping
        Provenance: seed, decisions, spans, fingerprints, scores.
    """

    algorithm: str
    names: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    columns: tuple[str, ...]
    slots: tuple[str, ...]
    scheme: Mapping[str, Any]
    network: Mapping[str, Any]
    training: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        algorithm: str,
        simulator: Simulator,
        scheme: Mapping[str, Any],
        network: Mapping[str, Any],
        training: Mapping[str, Any],
    ) -> PolicyDescription:
        """Description of a policy that is trained on a simulator's observations."""
        layout = simulator.layout
        return cls(
            algorithm=algorithm,
            names=layout.names,
            low=tuple(layout.low.tolist()),
            high=tuple(layout.high.tolist()),
            columns=layout.columns,
            slots=simulator.slots,
            scheme=scheme,
            network=dict(network),
            training=dict(training),
        )
