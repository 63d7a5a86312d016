"""A function as a policy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gearing.agents.own.columns import read_inputs
from gearing.names import shown
from gearing.simulation.policy import check_columns

Chooses = Callable[[Mapping[str, np.ndarray]], Any]


class FunctionPolicy:
    """A function behind the `Policy` protocol, see `from_callable`."""

    action_scheme = "target"

    def __init__(self, function: Chooses, columns: tuple[str, ...], may_hold: bool):
        self.function, self.required_columns, self.may_hold = function, columns, may_hold

    def predict(
        self,
        observation: Mapping[str, np.ndarray],
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, Any]:
        """Target leverage (n_accounts, n_contracts); the state is returned unchanged."""
        check_columns(self, tuple(observation))
        columns = {name: np.array(observation[name], np.float64) for name in self.required_columns}
        position = observation.get(
            "effective_leverage"
        )  # (n_accounts, n_contracts), where there is an account
        shapes = [values.shape for values in columns.values()] if position is None else [position.shape]
        return self._checked(self._called(columns), np.broadcast_shapes(*shapes)), state

    def _called(self, columns: dict[str, np.ndarray]) -> Any:
        try:
            return self.function(columns)
        except KeyError as error:
            name = error.args[0] if error.args else None
            if not isinstance(name, str) or name in columns:
                raise
            raise ValueError(
                f"{self._name} reads the column {name!r}, which it does not declare; write "
                f'from_callable(..., columns=[..., "{name}"]).'
            ) from None

    def _checked(self, found: Any, shape: tuple[int, ...]) -> np.ndarray:
        name = self._name
        try:
            targets = np.asarray(found, np.float64)
        except (TypeError, ValueError):
            raise TypeError(f"{name} returned {shown(found)}; it must return an array of numbers.") from None
        if targets.shape != shape:
            raise ValueError(
                f"{name} returned shape {targets.shape} for columns of shape {shape}; it must return one target "
                "leverage for each account and contract: compute with NumPy on whole columns."
            )
        bad = np.isinf(targets) if self.may_hold else ~np.isfinite(targets)
        if bad.any():
            raise ValueError(
                f"{name} returned {targets[bad][0]:g}; target leverage must be finite. Guard divisions and logarithms, "
                "or, where NaN is to leave the position unchanged, write from_callable(..., may_hold=True)."
            )
        return targets

    @property
    def _name(self) -> str:
        return getattr(self.function, "__name__", type(self.function).__name__)

    def __repr__(self) -> str:
        return f"FunctionPolicy({self._name}, {', '.join(self.required_columns)})"


def from_callable(function: Chooses, columns: Sequence[str], *, may_hold: bool = False) -> FunctionPolicy:
    """A policy from a function of columns.

    Parameters
    ----------
    function : callable
        ``function(columns)`` returns target leverage (n_accounts, n_contracts): a magnitude, to which the direction of
        the simulation gives the side, or signed where the direction is "free". ``columns`` is a mapping of name to
        float64 array (n_accounts, n_contracts), known at the deciding close; account columns are (n_accounts, 1).
    columns : sequence of str
        Features, forecasts and account columns that the function sees; it sees no other.
    may_hold : bool
        Whether NaN is meant, and leaves a position unchanged; otherwise it is refused.

    Returns
    -------
    FunctionPolicy
        For backtests, environments, studies and comparisons. A bundle holds graphs and registered rules only: write a
        rule of your own (``@rule``), or a torch module and `from_torch`.

    Raises
    ------
    TypeError, ValueError
        For arguments that are no function or no names; when it decides, for a result of another shape, or one that is
        not finite.

    Examples
    --------
    >>> policy = from_callable(lambda x: np.where(x["momentum_30d"] > 0.0, 2.0, 0.0), ["momentum_30d"])
    >>> policy.predict({"momentum_30d": np.array([[0.1], [-0.1]])})[0].tolist()
    [[2.0], [0.0]]
    """
    if not callable(function) or isinstance(function, type):
        raise TypeError(f"function is {shown(function)}; give a function of a mapping of columns.")
    names = read_inputs(columns, 1, getattr(function, "__name__", "the function")).names
    return FunctionPolicy(function, names, may_hold)
