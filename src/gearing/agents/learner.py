"""The protocol of learners, and the checks that stop a training which has diverged."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from gearing.agents.policy.learned import LearnedPolicy


class Learner(Protocol):
    """An agent in training."""

    policy: LearnedPolicy  # on the CPU, with weights of its own; it is validated and returned

    @property
    def network(self) -> torch.nn.Module:
        """The network in training, on the learner's device."""

    @property
    def within_budget(self) -> bool:
        """Whether the agent is within its risk budget, if any, on the training span."""

    @property
    def decisions(self) -> int:
        """Decisions taken by all accounts so far."""

    def update(self) -> dict[str, float]:
        """Collect one rollout, learn from it, and return metrics.

        Raises
        ------
        TrainingDiverged
            If a number is no longer finite; the message names it.
        """

    def state(self) -> dict[str, Any]:
        """Everything that the next update depends on, as tensors and plain values."""

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a ``state``, to the last bit."""


class TrainingDiverged(RuntimeError):  # noqa: N818  named for what happened
    """Numbers of a training are no longer finite."""


def check_numbers(named: Mapping[str, np.ndarray | float], decisions: int, advice: str) -> None:
    """Raise for NaN or infinite numbers, naming the first.

    Parameters
    ----------
    named : values in the order of their computation
    decisions : decisions trained so far
    advice : end of the message
    """
    for name, values in named.items():
        values = np.asarray(values)
        bad = ~np.isfinite(values)
        if bad.any():
            kind = "NaN" if np.isnan(values[bad]).any() else "infinite"
            raise TrainingDiverged(
                f"after {decisions:,} decisions {name} is {kind} ({int(bad.sum())} of {values.size} values). {advice}"
            )


def check_weights(weights: Iterable[tuple[str, torch.Tensor]], decisions: int, advice: str) -> None:
    """Raise for weights that are not finite."""
    with torch.no_grad():
        bad = [name for name, weight in weights if not torch.isfinite(weight).all()]
    if bad:
        raise TrainingDiverged(
            f"after {decisions:,} decisions the weights {', '.join(bad[:3])}"
            f"{' ...' if len(bad) > 3 else ''} are no longer finite. {advice}"
        )


@dataclass(frozen=True)
class Status:
    """Progress of a training."""

    decisions: int
    total: int
    per_second: float  # decisions, since the training (or its resumption) began
    validation: float | None = None  # last log growth per year on the validation span
    best: float | None = None  # best log growth per year on the validation span

    @property
    def seconds_left(self) -> float:
        """Time to the end of the budget at this speed."""
        return max(0.0, self.total - self.decisions) / max(
            self.per_second, 1e-9
        )  # batches may end beyond the total


Listener = Callable[[Status], None]


@contextmanager
def progress_bar(label: str, total: int) -> Iterator[Listener]:
    """A bar on the terminal, which shows each `Status` that it is called with."""
    from rich.progress import BarColumn, Progress, TextColumn

    formats = ("{task.description}", "{task.percentage:>3.0f}%", "{task.fields[text]}")
    description, percentage, text = (TextColumn(one) for one in formats)
    with Progress(description, BarColumn(), percentage, text) as bar:
        task = bar.add_task(label, total=total, text="")
        yield lambda status: bar.update(task, completed=status.decisions, text=_summary(status))


def _summary(status: Status) -> str:
    text = f"{status.per_second:,.0f} decisions/s, {status.seconds_left:,.0f} s left"
    if status.validation is not None:
        text += f", validation {status.validation:+.3f} (best {status.best:+.3f}) a year"
    return text
