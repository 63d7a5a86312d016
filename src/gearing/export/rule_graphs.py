"""Base rules as torch graphs, so that a residual policy exports as one network; tested against the rules themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from gearing.policies.rules import FixedLeverage, Tiered, VolatilityTarget, VolatilityWeighted
from gearing.simulation.observation import ObservationLayout

Columns = Callable[[str], Tensor]  # name -> (n, n_contracts) float64
_GRAPHS: dict[type, Callable[[Any, Columns], Tensor]] = {}


def graph_of(kind: type) -> Callable[[Any], Any]:
    """Register how a rule class is written in torch: ``function(rule, columns)`` gives its leverage (n, n_slots)."""

    def register(function: Any) -> Any:
        _GRAPHS[kind] = function
        return function

    return register


class RuleGraph(nn.Module):
    """A rule's leverage (n, n_slots) float64 of raw observations."""

    def __init__(self, rule: Any, layout: ObservationLayout):
        super().__init__()
        self.rule = rule
        self.write = _GRAPHS[type(rule)]
        self.places: dict[str, str] = {}
        for k, name in enumerate(("effective_leverage", *rule.required_columns)):
            self.register_buffer(f"places_{k}", places_of(layout, name))
            self.places[name] = f"places_{k}"

    def forward(self, observation: Tensor) -> Tensor:
        """The rule's leverage."""

        def column(name: str) -> Tensor:
            return torch.index_select(observation, 1, getattr(self, self.places[name])).double()

        return self.write(self.rule, column)


def places_of(layout: ObservationLayout, name: str) -> Tensor:
    """Where a column stands in a flat observation."""
    where = layout.locate(name)
    return torch.arange(layout.size)[where if isinstance(where, slice) else slice(where, where + 1)]


def rule_graph(rule: Any, layout: ObservationLayout) -> RuleGraph:
    """The graph of a rule.

    Raises
    ------
    ValueError
        If nobody wrote it in torch.
    """
    if type(rule) not in _GRAPHS:
        known = ", ".join(sorted(kind.__name__ for kind in _GRAPHS))
        raise ValueError(
            f"{type(rule).__name__} has no graph, so a policy that scales it cannot be exported; graphs exist for "
            f"{known}. Write one with @gearing.export.rule_graphs.graph_of({type(rule).__name__})."
        )
    return RuleGraph(rule, layout)


@graph_of(FixedLeverage)
def _fixed(rule: FixedLeverage, column: Columns) -> Tensor:
    return torch.zeros_like(column("effective_leverage")) + float(rule.leverage)


@graph_of(VolatilityWeighted)
def _volatility_weighted(rule: VolatilityWeighted, column: Columns) -> Tensor:
    return rule.high - (rule.high - rule.low) * column(rule.column)


@graph_of(VolatilityTarget)
def _volatility_target(rule: VolatilityTarget, column: Columns) -> Tensor:
    return torch.clamp(rule.target / torch.clamp(column(rule.column), min=1e-6), max=rule.max_leverage)


@graph_of(Tiered)
def _tiered(rule: Tiered, column: Columns) -> Tensor:
    percentile, week, month, carry = (column(name) for name in rule.required_columns)
    side = torch.sign(week) if rule.side == 0 else torch.full_like(week, float(rule.side))
    week, month, carry = side * week, side * month, side * carry
    strength = torch.clamp((week / rule.trend - 1.0) / 2.0, 0.0, 1.0)
    volatile = percentile > rule.volatile_above
    trending = ~volatile & (week >= rule.trend)
    exceptional = (
        trending & (strength == 1.0) & (month > rule.trend) & (percentile < 1 / 3) & (carry < rule.crowded)
    )
    excess = (percentile - rule.volatile_above) / max(1.0 - rule.volatile_above, 1e-9)
    neutral = torch.full_like(week, rule.neutral)
    leverage = torch.where(volatile, 3.0 - excess, torch.where(trending, 5.0 + 5.0 * strength, neutral))
    return torch.where(exceptional, torch.full_like(week, rule.exceptional), leverage)
