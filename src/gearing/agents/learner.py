"""What a training drives: one update at a time, with a state that can be saved and continued."""

from __future__ import annotations

from typing import Any, Protocol

from gearing.agents.policy.learned import LearnedPolicy


class Learner(Protocol):
    """An agent while it learns.

    Attributes
    ----------
    decisions : int
        Decisions taken by all accounts so far.
    within_budget : bool
        Whether the agent keeps the risk budget that it was given, if any, on the training span.
    policy : LearnedPolicy
        The agent as it is now; it shares its weights with the learner.
    """

    policy: LearnedPolicy
    within_budget: bool

    @property
    def decisions(self) -> int:
        """Decisions taken so far."""
        ...

    def update(self) -> dict[str, float]:
        """Gather one rollout, learn from it, and return what is worth logging.

        Raises
        ------
        TrainingDiverged
            If a number is no longer finite; the message names it.
        """
        ...

    def state(self) -> dict[str, Any]:
        """Everything that the next update depends on, as tensors and plain values."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Continue where ``state`` was taken, to the last bit."""
        ...
