"""Accounts over markets: the Simulator, its settings, observations, action schemes, rewards and the Policy protocol."""

from __future__ import annotations

from gearing.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "SimulationConfig": "gearing.simulation.config",
        "Slippage": "gearing.simulation.config",
        "Simulator": "gearing.simulation.simulator",
        "Observation": "gearing.simulation.observation",
        "ObservationLayout": "gearing.simulation.observation",
        "Policy": "gearing.simulation.policy",
        "action_scheme": "gearing.simulation.actions",
        "reward": "gearing.simulation.rewards",
    },
)
