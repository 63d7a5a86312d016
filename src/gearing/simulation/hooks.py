"""The optional hooks that a policy may have besides the `Policy` protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from gearing.simulation.policy import Policy

if TYPE_CHECKING:
    from gearing.features import FeatureTable
    from gearing.simulation.simulator import Simulator


@dataclass(frozen=True, eq=False)
class PolicyHooks:
    """What a policy may have besides the `Policy` protocol. Every attribute is optional.

    Attributes
    ----------
    settings : mapping
        Fields of `SimulationConfig` the policy was made for. ``gearing.backtest`` uses them where the caller gives no
        other value. Default: none.
    scheme : ActionScheme or None
        The instance that maps its normalised actions, where the name in ``action_scheme`` is not enough (a residual
        scheme has a base rule). Default: None, the scheme of that name.
    masked : bool
        Whether ``predict`` takes ``action_masks``, bool (n_accounts, n_slots * n_choices): the choices of ``scheme``
        that the margin tiers in force allow at the deciding close. Default: False.
    network : torch.nn.Module or None
        The network behind it, which an export writes as a graph. Default: None, a rule.
    join : callable or None
        ``join(table)`` returns the feature table with the policy's own columns (the oracle's bands, say), called once
        before a simulation starts; row k of a column is known at the close of bar k. Default: None.
    precomputed : callable or None
        ``precomputed(simulator, rows)`` returns a policy for the accounts of one run, or the policy itself. ``rows``,
        int (n_accounts, n_decisions), are the rows of the simulator's tape at which each account decides (shorter
        episodes repeat their last row), so what depends on the market alone is computed once for all decisions. The
        policy that it returns may use the columns of ``rows - 1``, the deciding closes, and nothing later.
        Default: None.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    scheme: Any = None
    masked: bool = False
    network: Any = None
    join: Callable[[FeatureTable], FeatureTable] | None = None
    precomputed: Callable[[Simulator, np.ndarray], Policy] | None = None


def hooks_of(policy: Any) -> PolicyHooks:
    """The hooks of a policy; where it lacks one, the default that `PolicyHooks` states."""
    names = [hook.name for hook in fields(PolicyHooks)]
    return PolicyHooks(**{name: getattr(policy, name) for name in names if hasattr(policy, name)})
