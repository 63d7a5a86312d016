"""Values of an experiment file: durations, moments and names, each checked when the file is read.

A thing that has a name and settings is written in one way everywhere: its name alone, or
``{rule: volatility_target, target: 1.0}``. Names are those of the registers, so what a user registers can be named.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from gearing.contracts import venue
from gearing.evaluation.columns import FORECAST
from gearing.exchange.observing import ACCOUNT_COLUMNS, POSITION_COLUMNS
from gearing.features import is_feature, registered_features
from gearing.features.feature_set import GROUPS
from gearing.forecasters.excursion_law.law import read_column
from gearing.forecasters.register import forecaster
from gearing.market.timing import parse_duration, positive_duration, stamp, text as written
from gearing.names import check_file_name, nearest
from gearing.simulation.actions import make_scheme
from gearing.simulation.config import rebalance_mode
from gearing.simulation.rewards import make_reward

FileName = Annotated[str, AfterValidator(lambda name: check_file_name(name, "the name"))]
_TOUCHES = ("touch_down_", "touch_up_")  # columns of touch probabilities begin so
_SIDES = ("long", "short", "free")


class Section(BaseModel):
    """A part of an experiment file: unknown keys and values of another type are refused; it never changes."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, validate_default=True, populate_by_name=True, allow_inf_nan=False,
    )  # fmt: skip

    @classmethod
    def field_names(cls) -> list[str]:
        """Keys as a file spells them."""
        return [field.alias or name for name, field in cls.model_fields.items()]


class Named(Section):
    """A thing known by name: its name alone, or its name under ``named_by`` and its settings as further keys.

    Keys that are no fields of the section are settings; ``settings: {...}`` holds any of them as well.
    """

    named_by: ClassVar[str]

    settings: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _gather_settings(cls, given: Any) -> Any:
        if isinstance(given, str):
            return {cls.named_by: given}
        if not isinstance(given, Mapping) or not isinstance(given.get("settings", {}), Mapping):
            return given
        known = {*cls.model_fields, *cls.field_names()}
        own = {key: value for key, value in given.items() if key not in known}
        fields = {key: value for key, value in given.items() if key in known}
        return {**fields, "settings": {**fields.get("settings", {}), **own}}

    @model_validator(mode="after")
    def _exists(self) -> Self:
        try:
            self.check()
        except TypeError as error:
            name, text = str(getattr(self, self.named_by)), str(error)
            raise ValueError(text if text.startswith(f"{name}:") else f"{name}: {text}") from None
        return self

    @model_serializer(mode="wrap")
    def _spread_settings(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """As it is written in a file: the name, settings, then fields."""
        values = dump(self)
        settings = values.pop("settings", {})
        hidden = {key: value for key, value in settings.items() if key in self.field_names()}
        shown = {key: value for key, value in settings.items() if key not in hidden}
        name = {self.named_by: values.pop(self.named_by)} if self.named_by in values else {}
        return {**name, **shown, **values, **({"settings": hidden} if hidden else {})}

    def check(self) -> None:
        """Raise a ValueError if there is no such thing, or a setting that it does not have."""
        raise NotImplementedError


def by_name(given: Any) -> Any:
    """Named things under names of their own; a list of names means those things with their defaults."""
    if isinstance(given, list) and all(isinstance(name, str) for name in given):
        return {name: name for name in given}
    return given


def _moment(text: str) -> str:
    """As an experiment prints it: ISO, UTC, as short as it can be."""
    return written(stamp(text)).replace(" ", "T").removesuffix("T00:00")


def as_time(moment: str) -> np.datetime64:
    """A moment of an experiment file as a UTC time."""
    return np.datetime64(moment, "ms")


def check_column(name: str, groups: Iterable[str] = ()) -> None:
    """Refuse a column that is no feature, no forecast, nothing that an account shows of itself and none of the groups.

    Raises
    ------
    ValueError
        Naming the nearest.
    """
    others = (*groups, FORECAST, *POSITION_COLUMNS, *ACCOUNT_COLUMNS)
    if is_feature(name) or name in others or name.startswith(_TOUCHES) or read_column(name):
        return
    near = nearest(name, [*others, *(feature.name for feature in registered_features())])
    hint = f" Did you mean {near!r}?" if near else " gearing.features.registered_features() lists all."
    raise ValueError(f"no column {name!r}.{hint}")


def _check_observed(name: str) -> None:
    check_column(name, (*GROUPS, "forecast", "excursions"))


def _check_direction(text: str) -> None:
    side, _, column = text.partition(":")
    if side == "signal" and column:
        check_column(column)
    elif text not in _SIDES:
        near = nearest(text, _SIDES)
        hint = f" Did you mean {near!r}?" if near else ""
        raise ValueError(f"no direction {text!r}; write long, short, free or signal:COLUMN.{hint}")


def _check_scheme(name: str) -> None:
    if name != "residual":  # which cannot be made without its base
        make_scheme(name, 1.0)


def _exists(check: Callable[[str], Any]) -> AfterValidator:
    """A name that ``check`` raises a ValueError for where there is nothing of that name."""

    def checked(name: str) -> str:
        check(name)
        return name

    return AfterValidator(checked)


def _each_once(given: list[Any]) -> list[Any]:
    if len(set(given)) < len(given):
        raise ValueError(f"{given} holds something twice; write each once.")
    return given


EachOnce = AfterValidator(_each_once)
Duration = Annotated[str, _exists(positive_duration)]
Gap = Annotated[str, _exists(parse_duration)]  # a duration that may be zero
Moment = Annotated[str, AfterValidator(_moment)]
Share = Annotated[float, Field(gt=0.0, le=1.0)]
Rebalance = Annotated[str, _exists(rebalance_mode)]
Reward = Annotated[str, _exists(make_reward)]
Action = Annotated[str, _exists(_check_scheme)]
Column = Annotated[str, _exists(_check_observed)]  # a feature, a group of them, "forecast" or "excursions"
Direction = Annotated[str, _exists(_check_direction)]
Forecaster = Annotated[str, _exists(forecaster)]
Venue = Annotated[str, _exists(venue)]
