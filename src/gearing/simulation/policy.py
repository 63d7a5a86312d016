"""The Policy protocol, and the optional hooks that a policy may have: whatever turns an observation into an action."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

import numpy as np

from gearing.simulation.observation import Observation

if TYPE_CHECKING:
    from gearing.features import FeatureTable
    from gearing.simulation.simulator import Simulator


@runtime_checkable
class Policy(Protocol):
    """Chooses leverage; has the signature of stable-baselines3's ``predict``.

    Attributes
    ----------
    required_columns : tuple of str
        Observation columns it reads; a simulation without one of them is refused before it starts.
    action_scheme : str
        "target": actions are target leverages (a magnitude where the direction is fixed, signed where it is
        "free"; NaN = hold), or the name of the scheme that maps its normalised actions.

    See Also
    --------
    PolicyHooks : what a policy may have besides.
    """

    @property  # read only here, so that a class attribute will do
    def required_columns(self) -> tuple[str, ...]: ...

    @property
    def action_scheme(self) -> str: ...

    def predict(
        self,
        observation: Observation,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, Any]:
        """Actions (n_accounts, n_slots) for a batch of observations, and the policy's next state.

        Parameters
        ----------
        observation : Observation
            Everything known at the deciding close, by column name or as the raw array.
        state : object
            What the policy returned last time; None at the start.
        episode_start : (n_accounts,) bool
            True where an episode begins with this decision.
        deterministic : bool
            Whether a stochastic policy takes its mode.
        """
        ...


class PolicyHooks(Protocol):
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
    ahead : callable or None
        ``ahead(simulator, rows)`` returns a policy for the accounts of one run, or the policy itself. ``rows``, int
        (n_accounts, n_decisions), are the rows of the simulator's tape at which each account decides (the shorter
        episodes repeat their last row), so what depends on the market alone is computed once for all decisions. The
        policy that it returns may use the columns of ``rows - 1``, the deciding closes, and nothing later.
        Default: None.
    """

    settings: Mapping[str, Any]
    scheme: Any
    masked: bool
    network: Any
    join: Callable[[FeatureTable], FeatureTable] | None
    ahead: Callable[[Simulator, np.ndarray], Policy] | None


_DEFAULTS: dict[str, Any] = {
    "settings": {}, "scheme": None, "masked": False, "network": None, "join": None, "ahead": None,
}  # fmt: skip


def hooks_of(policy: Any) -> PolicyHooks:
    """The hooks of a policy; where it lacks one, the default that `PolicyHooks` states."""
    found = {name: getattr(policy, name, default) for name, default in _DEFAULTS.items()}
    return cast(PolicyHooks, SimpleNamespace(**found))


def check_policy_type(policy: Any) -> None:
    """Refuse an object that is no policy.

    Raises
    ------
    TypeError
        Naming the attributes that are missing.
    """
    missing = [name for name in ("required_columns", "action_scheme", "predict") if not hasattr(policy, name)]
    if missing:
        raise TypeError(
            f"{type(policy).__name__} has no {', '.join(missing)}: a policy declares the columns that it reads and the "
            "scheme of its actions, and predicts; gearing.check_policy goes through all of it."
        )


def check_columns(policy: Policy, known: tuple[str, ...]) -> None:
    """Refuse a policy that reads columns the simulation does not have."""
    missing = [name for name in policy.required_columns if name not in known]
    if missing:
        raise ValueError(
            f"{type(policy).__name__} reads {', '.join(missing)}, which the observation lacks. "
            f"Add them to the features or join them to the table; there are {', '.join(known)}."
        )
