"""Progress of a training: decisions, decisions per second, validation, time left."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


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
