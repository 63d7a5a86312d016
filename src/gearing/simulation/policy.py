"""The Policy protocol: whatever turns an observation into an action."""

from typing import Any, Protocol, runtime_checkable

import numpy as np

from gearing.simulation.observation import Observation


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
    gearing.simulation.hooks.PolicyHooks : what a policy may have besides.
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


def check_policy_type(policy: Any) -> None:
    """Refuse an object that is no policy, naming the attributes that are missing.

    Raises
    ------
    TypeError
        For a class instead of an instance, a name, or an object without the attributes.
    """
    if isinstance(policy, type):
        raise TypeError(
            f"the policy is the class {policy.__name__}; give an instance: {policy.__name__}(...)."
        )
    if isinstance(policy, str):
        raise TypeError(
            f"the policy is the text {policy!r}; give a rule: gearing.rules.make_rule({policy!r}), or an instance of "
            "its class."
        )
    missing = [name for name in ("required_columns", "action_scheme", "predict") if not hasattr(policy, name)]
    if missing:
        raise TypeError(
            f"{type(policy).__name__} has no {', '.join(missing)}: a policy declares the columns that it reads and the "
            "scheme of its actions, and predicts; gearing.check_policy goes through all of it."
        )


def check_columns(policy: Any, known: tuple[str, ...]) -> None:
    """Refuse a policy or control that reads columns the simulation does not have."""
    missing = [name for name in policy.required_columns if name not in known]
    if missing:
        raise ValueError(
            f"{type(policy).__name__} reads {', '.join(missing)}, which the observation lacks. "
            f"Add them to the features or join them to the table; there are {', '.join(known)}."
        )
