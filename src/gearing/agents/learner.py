"""The protocol of learners: one update at a time, with a state that can be saved and restored."""

from typing import Any, Protocol

from gearing.agents.policy.learned import LearnedPolicy


class Learner(Protocol):
    """An agent in training."""

    policy: LearnedPolicy  # the present policy; it shares its weights with the learner

    @property
    def within_budget(self) -> bool:
        """Whether the agent is within its risk budget, if any, on the training span."""
        ...

    @property
    def decisions(self) -> int:
        """Decisions taken by all accounts so far."""
        ...

    def update(self) -> dict[str, float]:
        """Collect one rollout, learn from it, and return metrics.

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
        """Restore a ``state``, to the last bit."""
        ...
