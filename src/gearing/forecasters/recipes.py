"""Forecasters by name: which estimator, fed with which features.

A recipe is what is registered and exported: fitting it again on a longer history needs nothing else.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from ..features.calendar import DAYS

ENTRY_POINTS = "gearing.forecasters"
HAR_COLUMNS = ("log_variance_24h", "log_variance_7d", "log_variance_30d")
WEEKDAYS = tuple(f"next_day_{day}" for day in DAYS)
# Range estimators, signs, funding and weekday helped on years before 2023; volume, jumps and lags did not.
WIDE_COLUMNS = (
    *HAR_COLUMNS,
    "log_variance_6h",
    "log_variance_3d",
    "log_variance_14d",
    "log_parkinson_variance_24h",
    "log_parkinson_variance_7d",
    "log_garman_klass_variance_24h",
    "log_window_range_24h",
    "mean_log_variance_7d",
    "mean_log_variance_30d",
    "downside_return_24h",
    "downside_return_7d",
    "return_24h",
    "return_7d",
    "funding_mean_3d",
    "funding_pressure_7d",
    *WEEKDAYS,
)


@dataclass(frozen=True)
class Recipe:
    """A named forecaster.

    Attributes
    ----------
    name : str
    make : callable
        ``make(**parameters)`` gives an unfitted scikit-learn regressor of variance.
    columns : tuple of str
        Features that make a row of X, in order.
    exports : bool
        Whether a fitted estimator has ``to_onnx()``.
    needs : str
        What inference needs when it does not export.
    """

    name: str
    make: Callable[..., Any]
    columns: tuple[str, ...]
    exports: bool = True
    needs: str = "numpy and onnxruntime"

    def estimator(self, **parameters: Any) -> Any:
        """A fresh unfitted estimator."""
        return self.make(**parameters)


_recipes: dict[str, Recipe] = {}
_loaded: list[str] = []


def register_forecaster(
    name: str, columns: Sequence[str], *, exports: bool = True, needs: str = "numpy and onnxruntime"
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function that makes an estimator (or the estimator's class) under a name."""

    def register(make: Callable[..., Any]) -> Callable[..., Any]:
        old = _recipes.get(name)
        if old is not None and old.make.__qualname__ != make.__qualname__:
            raise ValueError(f"a forecaster named {name!r} is already registered; choose another name.")
        _recipes[name] = Recipe(name, make, tuple(columns), exports, needs)
        return make

    return register


def forecaster(name: str) -> Recipe:
    """The recipe of that name; an unknown one is a ValueError with the nearest."""
    _load()
    if name not in _recipes:
        near = difflib.get_close_matches(name, _recipes, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"there is no forecaster {name!r}.{hint} There are: {', '.join(_recipes)}.")
    return _recipes[name]


def forecasters() -> dict[str, Recipe]:
    """All recipes by name, the package's own first."""
    _load()
    return dict(_recipes)


def _load() -> None:
    if not _loaded:
        _loaded.append(ENTRY_POINTS)
        for point in entry_points(group=ENTRY_POINTS):
            point.load()


@register_forecaster("har", HAR_COLUMNS)
def _har(**parameters: Any) -> Any:
    from .har import HARVolatility

    return HARVolatility(**parameters)


@register_forecaster("har_dow", (*HAR_COLUMNS, *WEEKDAYS))
def _har_dow(**parameters: Any) -> Any:
    from .har import HARVolatility

    return HARVolatility(**parameters)


@register_forecaster("lightgbm_gamma", WIDE_COLUMNS)
def _lightgbm_gamma(**parameters: Any) -> Any:
    from .boosting import LightGBMVariance

    return LightGBMVariance(objective="gamma", **parameters)
