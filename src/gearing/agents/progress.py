"""Progress of a training: decisions, decisions per second, validation, time left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any


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
        return (self.total - self.decisions) / max(self.per_second, 1e-9)


Listener = Callable[[Status], None]


class ProgressBar:
    """A bar on the terminal; used as a context manager, called with each `Status`."""

    def __init__(self, label: str, total: int):
        from rich.progress import BarColumn, Progress, TextColumn

        self._label = label
        self._bar: Any = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[text]}"),
        )  # fmt: skip
        self._task = self._bar.add_task(label, total=total, text="")

    def __enter__(self) -> ProgressBar:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, status: Status) -> None:
        """Show the progress."""
        text = f"{status.per_second:,.0f} decisions/s, {status.seconds_left:,.0f} s left"
        if status.validation is not None:
            text += f", validation {status.validation:+.3f} (best {status.best:+.3f}) a year"
        self._bar.update(self._task, completed=status.decisions, text=text)
