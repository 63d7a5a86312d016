"""Kinds of values that experiment files are made of: strict sections, durations, moments."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict

from gearing.market.durations import parse_duration


class Section(BaseModel):
    """A part of an experiment file: unknown keys and values of another type are refused; it never changes."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, validate_default=True, populate_by_name=True
    )


def _duration(text: str) -> str:
    if parse_duration(text) <= np.timedelta64(0):
        raise ValueError(f"{text!r} is no time at all; write for example '24h'.")
    return text


def _moment(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is not a date; write it like 2024-01-31 or 2024-01-31T08:00, in UTC."
        ) from None
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return moment.isoformat(timespec="minutes").removesuffix("T00:00")


Duration = Annotated[str, AfterValidator(_duration)]
Moment = Annotated[str, AfterValidator(_moment)]


def as_time(moment: str) -> np.datetime64:
    """A moment of an experiment file as a UTC time."""
    return np.datetime64(moment, "ms")
