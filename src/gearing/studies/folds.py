"""Cutting time into training, validation and test, with a gap wherever one could see into the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from gearing.market.timing import parse_duration
from gearing.studies.fields import Duration, Moment, Section, as_time

Span = tuple[np.datetime64, np.datetime64]


@dataclass(frozen=True)
class Fold:
    """One cut: half-open spans of time [first, last) of training, validation and test."""

    number: int
    train: Span
    validate: Span
    test: Span

    def __str__(self) -> str:
        spans = {"train": self.train, "validate": self.validate, "test": self.test}
        return ", ".join(f"{name} {_day(first)} to {_day(last)}" for name, (first, last) in spans.items())


class Period(Section):
    """A span of time; ``to`` is the first moment that does not belong to it."""

    from_: Moment = Field(alias="from")
    to: Moment

    @model_validator(mode="after")
    def _runs_forward(self) -> Period:
        if as_time(self.from_) >= as_time(self.to):
            raise ValueError(f"from {self.from_} is not before to {self.to}.")
        return self

    @property
    def span(self) -> Span:
        """First moment, and the first one after."""
        return as_time(self.from_), as_time(self.to)


class Split(Section):
    """One cut by dates."""

    train: Period
    validate_: Period = Field(alias="validate")
    test: Period

    @model_validator(mode="after")
    def _do_not_overlap(self) -> Split:
        for (earlier, before), (later, after) in (
            (("train", self.train), ("validate", self.validate_)),
            (("validate", self.validate_), ("test", self.test)),
        ):
            if as_time(before.to) > as_time(after.from_):
                raise ValueError(
                    f"{earlier} (to {before.to}) overlaps {later} (from {after.from_}). "
                    f"End {earlier} at or before the first moment of {later}."
                )
        return self

    def folds(self, first: np.datetime64, last: np.datetime64) -> list[Fold]:
        """The cut as a list of one, if the data from ``first`` to ``last`` holds all of it."""
        start, end = self.train.span[0], self.test.span[1]
        if start < first or end > last:
            raise ValueError(
                f"the split reaches from {self.train.from_} to {self.test.to}, the data from {_day(first)} to "
                f"{_day(last)}. Choose periods inside."
            )
        return [Fold(0, self.train.span, self.validate_.span, self.test.span)]


class Folds(Section):
    """Walk-forward cuts: train, gap, validate, gap, test; then everything moves on by the length of a test.

    Attributes
    ----------
    from : moment, optional
        Where the first training window begins; by default at the first day that has all columns. With it, the folds are
        the same whatever columns are read.
    train : duration
        First training window.
    window : {"expanding", "rolling"}
        Whether later training windows keep their beginning or their length.
    embargo : duration
        The gap on either side of validation, at least what a target looks ahead.
    count : int, optional
        Only the first so many folds.
    """

    from_: Moment | None = Field(default=None, alias="from")
    train: Duration = "365d"
    validate_: Duration = Field(default="90d", alias="validate")
    test: Duration = "90d"
    window: Literal["expanding", "rolling"] = "expanding"
    embargo: Duration = "24h"
    count: int | None = Field(default=None, ge=1)

    def folds(self, first: np.datetime64, last: np.datetime64) -> list[Fold]:
        """All folds that fit into the data from ``first`` to ``last``.

        Raises
        ------
        ValueError
            Not even one fits.
        """
        if self.from_ is not None and as_time(self.from_) < first:
            raise ValueError(
                f"folds.from is {self.from_}, and the data have all columns from {_day(first)} on. Begin there or "
                "later, or read columns that look back less far."
            )
        found = list(self._fitting(first if self.from_ is None else as_time(self.from_), last))
        if not found:
            raise ValueError(
                f"no fold of {self.train} + {self.validate_} + {self.test} with gaps of {self.embargo} fits into the "
                f"data from {_day(first)} to {_day(last)}. Shorten them, or take more data."
            )
        return found

    def _fitting(self, first: np.datetime64, last: np.datetime64) -> Iterator[Fold]:
        train, validate, test, gap = (
            parse_duration(text) for text in (self.train, self.validate_, self.test, self.embargo)
        )
        number = 0
        while self.count is None or number < self.count:
            shift = number * test
            start = first + shift if self.window == "rolling" else first
            cut = first + train + shift
            judged = cut + gap + validate + gap
            if judged + test > last:
                return
            yield Fold(number, (start, cut), (cut + gap, cut + gap + validate), (judged, judged + test))
            number += 1


def _day(time: np.datetime64) -> str:
    return str(time.astype("datetime64[m]")).removesuffix("T00:00")
