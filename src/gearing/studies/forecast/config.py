"""What a forecasting experiment is made of: a strict YAML file, checked before data is read."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from gearing.forecasters.register import forecaster
from gearing.market.durations import is_duration, parse_duration
from gearing.names import did_you_mean

POOLED = "_pooled"


def _duration(text: str) -> str:
    if not is_duration(text):
        raise ValueError(f"{text!r} is not a duration; write a whole number and m, h, d or w, like '24h'")
    return text


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class MarketSection(_Section):
    """Which history is forecast; holes are filled only where it is said how."""

    folder: str | None = None
    contracts: list[str] = Field(min_length=1)
    pool: list[str] = []
    bar: str = "1h"
    venue: str = "binance-um"
    from_: date | None = Field(default=None, alias="from")
    to: date | None = None  # the first day left out
    missing_mark: Literal["error", "last"] = "error"
    missing_funding: Literal["error", "zero"] = "error"
    missing_tiers: Literal["error", "earliest"] = "error"
    finer: str | None = None


class ScheduleSection(_Section):
    """When models are fitted, and on what."""

    first_train: str = "365d"
    window: str | None = None
    refit: str = "month"
    embargo: str = "0h"

    @field_validator("first_train", "embargo")
    @classmethod
    def _read(cls, text: str) -> str:
        return _duration(text)

    @field_validator("refit")
    @classmethod
    def _read_refit(cls, text: str) -> str:
        return text if text == "month" else _duration(text)


class IntervalSection(_Section):
    """Conformal intervals."""

    level: float = Field(default=0.9, gt=0.0, lt=1.0)
    window: str = "365d"
    adapt: float = Field(default=0.01, ge=0.0, lt=0.5)


class ConfidenceSection(_Section):
    """Model Confidence Set."""

    size: float = Field(default=0.10, gt=0.0, lt=1.0)
    block: int = Field(default=10, ge=1)
    replications: int = Field(default=1_000, ge=100)


class ExcursionSection(_Section):
    """Touch probabilities."""

    horizons: list[str] = ["24h"]
    sizes: list[Annotated[float, Field(gt=0.0, lt=1.0)]] = [0.02, 0.05, 0.10]
    every: str = "4h"
    model: str = "ridge"


class ForecastConfig(_Section):
    """A forecasting experiment.

    Models are names of forecasters; with "_pooled" behind it a model is fitted on the rows of all contracts,
    those of ``market.pool`` included, and judged on ``market.contracts`` only. ``combinations`` are geometric
    means of models. The choice is the least QLIKE before ``choose_before``; nothing after it is looked at for that.
    """

    name: str = "forecast"
    question: str = ""
    market: MarketSection
    horizon: str = "24h"
    every: str = "24h"
    target: Literal["bars", "finer"] = "bars"
    schedule: ScheduleSection = ScheduleSection()
    models: list[str] = Field(min_length=1)
    combinations: dict[str, list[str]] = {}
    reference: str = "har"
    choose_before: date = date(2023, 1, 1)
    tried_before: int = Field(default=0, ge=0)
    intervals: IntervalSection = IntervalSection()
    confidence_set: ConfidenceSection = ConfidenceSection()
    excursions: ExcursionSection | None = None
    jobs: int = Field(default=1, ge=1)
    seed: int = 0

    @field_validator("horizon", "every")
    @classmethod
    def _read(cls, text: str) -> str:
        return _duration(text)

    @model_validator(mode="after")
    def _check_names(self) -> ForecastConfig:
        for name in self.models:
            forecaster(name.removesuffix(POOLED))
        if len(set(self.models)) != len(self.models):
            raise ValueError(f"models are listed once each, given {self.models}")
        if self.reference not in self.models:
            raise ValueError(
                f"reference {self.reference!r} must be one of the models, {', '.join(self.models)}"
            )
        for name, members in self.combinations.items():
            unknown = sorted(set(members) - set(self.models))
            if unknown or not members or name in self.models:
                raise ValueError(
                    f"combination {name!r} needs a name of its own and members among the models; unknown: {unknown}"
                )
        if self.target == "finer" and self.market.finer is None:
            raise ValueError("target 'finer' needs market.finer, such as '5m'")
        return self

    @property
    def overlap(self) -> int:
        """Origins that one target covers."""
        return max(int(-(-parse_duration(self.horizon) // parse_duration(self.every))), 1)

    @classmethod
    def read(cls, path: str | Path, overrides: Iterable[str] = ()) -> ForecastConfig:
        """Read a YAML file; ``overrides`` are dotted, like "market.contracts=[ETHUSDT]".

        Raises
        ------
        ValueError
            Naming file and field, what was given, the rule, and the nearest field where one is unknown.
        """
        import yaml

        path = Path(path)
        if not path.is_file():
            raise ValueError(f"there is no experiment file {path}.")
        text = path.read_text(encoding="utf-8")
        values = yaml.safe_load(text)
        if not isinstance(values, dict):
            raise ValueError(f"{path} must hold a mapping of sections.")
        values = {"name": path.stem, "question": _first_comment(text), **values}
        for override in overrides:
            _override(values, override)
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ValueError("\n".join(_line(path, problem) for problem in error.errors())) from None


def _first_comment(text: str) -> str:
    first = text.partition("\n")[0]
    return first.lstrip("# ").strip() if first.startswith("#") else ""


def _override(values: dict[str, Any], override: str) -> None:
    import yaml

    place, equals, given = override.partition("=")
    if not equals:
        raise ValueError(f"override {override!r} has no '='; write section.key=value, as in jobs=2.")
    *sections, key = place.split(".")
    for section in sections:
        values = values.setdefault(section, {})
    values[key] = yaml.safe_load(given)


def _line(path: Path, problem: Any) -> str:
    place = [str(part) for part in problem["loc"]]
    if problem["type"] == "extra_forbidden":
        return f"{path}: no field {'.'.join(place)!r}.{did_you_mean(place[-1], _known_fields())}"
    return f"{path}, {'.'.join(place) or 'the whole'}: {problem['msg']} (given {problem['input']!r})."


def _known_fields() -> list[str]:
    sections = (
        ForecastConfig,
        MarketSection,
        ScheduleSection,
        IntervalSection,
        ConfidenceSection,
        ExcursionSection,
    )
    return [field.alias or name for section in sections for name, field in section.model_fields.items()]
