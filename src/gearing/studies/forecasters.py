"""Volatility forecasters of an experiment file."""

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from gearing.forecasters.register import Recipe, forecaster
from gearing.forecasters.walk_forward import Schedule
from gearing.market.timing import is_duration
from gearing.names import check_names
from gearing.studies.fields import Duration, Forecaster, Gap, Named, Section


class Training(Section):
    """When forecasters are fitted, and on what.

    Attributes
    ----------
    train : duration
        First training window.
    window : {"expanding", "rolling"}
        Whether later windows keep their beginning or their length.
    length : duration, optional
        Of a rolling window; ``train`` by default.
    refit : "month" or duration
    embargo : duration
        Gap between the end of the last target of training and the refit.
    """

    train: Duration = "365d"
    window: Literal["expanding", "rolling"] = "expanding"
    length: Duration | None = None
    refit: Literal["month"] | Duration = "month"
    embargo: Gap = "0h"

    @field_validator("window", mode="before")
    @classmethod
    def _is_no_length(cls, window: Any) -> Any:
        if isinstance(window, str) and is_duration(window):
            raise ValueError(f"{window!r} is a length; write window: rolling, length: {window}.")
        return window

    @model_validator(mode="after")
    def _only_rolling_windows_have_a_length(self) -> Self:
        if self.length is not None and self.window == "expanding":
            raise ValueError("length belongs to window: rolling; an expanding window begins with train.")
        return self

    def refits(self, fit_every: str | None = None) -> Schedule:
        """The same as `gearing.forecasters.walk_forward` takes it; ``fit_every`` is the clock of training rows."""
        length = (self.length or self.train) if self.window == "rolling" else None
        return Schedule(self.train, length, self.refit, fit_every, self.embargo)


class NamedForecaster(Named):
    """A volatility forecaster: ``{forecaster: ridge, alpha: 2.0}``, or only its name.

    Attributes
    ----------
    forecaster : str
        See `gearing.forecasters.forecasters`; settings are the estimator's own.
    """

    named_by = "forecaster"

    forecaster: Forecaster

    @property
    def recipe(self) -> Recipe:
        """Estimator and columns."""
        return forecaster(self.forecaster)

    def check(self) -> None:
        """Refuse a setting that the estimator does not have."""
        if self.settings:  # only then is the library of the estimator imported
            known = self.recipe.estimator().get_params()
            check_names("no field", self.settings, [*self.field_names(), *known])


class Forecast(NamedForecaster, Training):
    """The volatility forecast that becomes a column: out of sample over its whole length."""

    forecaster: Forecaster = "har_dow"
    horizon: Duration = "24h"

    @property
    def arguments(self) -> dict[str, Any]:
        """The same as arguments of `gearing.forecasters.forecast_volatility_column`."""
        named = {"forecaster": self.forecaster, "horizon": self.horizon, "schedule": self.refits()}
        return named | self.settings


class Excursions(Forecast):
    """Forecast probabilities that the mark touches a price within the horizon, which become columns.

    ``forecaster`` forecasts the variance, from which a curve makes probabilities.

    Attributes
    ----------
    sizes : list of float
        Moves against the position, as fractions of price.
    curve : duration
        First training window of the curve.
    """

    forecaster: Forecaster = "har"
    sizes: list[float] = Field(default=[0.02, 0.05, 0.10], min_length=1)
    curve: Duration = "180d"

    def curve_refits(self) -> Schedule:
        """When the curve is fitted."""
        return Schedule(self.curve, refit=self.refit)
