"""Forecasters by name: an estimator and its features.

A recipe is registered and exported; refitting it on a longer history needs nothing else.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gearing.features.families.calendar import DAYS
from gearing.features.families.panel.market import MARKET
from gearing.names import Register

HAR_COLUMNS = ("log_variance_24h", "log_variance_7d", "log_variance_30d")
WEEKDAYS = tuple(f"next_day_{day}" for day in DAYS)
# Chosen on the years before 2023 (BTC and ETH): jumps, short lags, trend and season did not help there.
WIDE_COLUMNS = (
    *HAR_COLUMNS,
    *WEEKDAYS,
    "relative_quarticity_24h",
    "volume_ratio_7d",
    "volume_ratio_30d",
    "log_garman_klass_variance_24h",
    "log_garman_klass_variance_7d",
    "downside_return_24h",
    "downside_return_7d",
    "mean_log_variance_7d",
    "mean_log_variance_30d",
    "funding_pressure_7d",
    "bollinger_width_20d",
)
# For horizons below a day: the last hours, and the next hour.
HOURLY_COLUMNS = (
    *WIDE_COLUMNS,
    "log_variance_6h",
    "log_parkinson_variance_1h",
    "log_parkinson_variance_6h",
    "hour_sin",
    "hour_cos",
    "half_day_sin",
    "half_day_cos",
)
HAR_X_COLUMNS = (*HAR_COLUMNS, *WEEKDAYS, "downside_return_24h", "downside_return_7d", "funding_pressure_7d")
HARQ_COLUMNS = (*HAR_COLUMNS, "relative_quarticity_24h", "quarticity_interaction_24h")
GARCH_COLUMNS = (
    "days_since_2000",
    "return_24h",
    *(f"return_24h_before_{k}d" for k in range(1, 30)),
    "log_variance_30d",
)
# The GRU reads all of Ridge's columns and 21 days of log variance, newest first.
SEQUENCE_COLUMNS = (
    *WIDE_COLUMNS[1:],
    "log_variance_24h",
    *(f"log_variance_before_{k}d" for k in range(1, 21)),
)

# One model for every contract: relative to the contract's own month. Chosen on 2021 and 2022, see docs/volatility.md.
PANEL_OWN_COLUMNS = (
    *(f"relative_log_variance_{w}" for w in ("6h", "12h", "24h", "2d", "3d", "5d", "7d", "14d")),
    *(f"relative_log_variance_{w}" for w in ("60d", "90d", "180d", "365d")),
    *(f"relative_ewma_log_variance_{w}" for w in ("24h", "2d", "4d", "8d", "16d", "32d")),
    *(f"relative_log_absolute_variance_{w}" for w in ("24h", "3d", "7d")),
    *(f"relative_mean_log_variance_{w}" for w in ("7d", "30d")),
    *(f"relative_log_bipower_variance_{w}" for w in ("24h", "3d", "7d", "30d")),
    *(f"scaled_return_{w}" for w in ("24h", "2d", "3d", "7d", "14d", "30d")),
    *(f"scaled_fall_{w}" for w in ("24h", "2d", "3d", "7d", "14d", "30d")),
    *(f"log_volume_over_month_{w}" for w in ("24h", "3d", "7d")),
    "log_volume_of_month",
    "weekday_season",
    *WEEKDAYS,
)
PANEL_COLUMNS = ("days_since_2000", "panel_level", *PANEL_OWN_COLUMNS, *MARKET)


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
        What inference requires without an export.
    """

    name: str
    make: Callable[..., Any]
    columns: tuple[str, ...]
    exports: bool = True
    needs: str = "numpy and onnxruntime"

    def estimator(self, **parameters: Any) -> Any:
        """A new unfitted estimator."""
        return self.make(**parameters)


RECIPES: Register[Recipe] = Register("forecaster", "gearing.forecasters", ["gearing.forecasters.catalogue"])


def register_forecaster(
    name: str, columns: Sequence[str], *, exports: bool = True, needs: str = "numpy and onnxruntime"
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function that makes an estimator (or the estimator's class) under a name."""

    def register(make: Callable[..., Any]) -> Callable[..., Any]:
        RECIPES.add(name, Recipe(name, make, tuple(columns), exports, needs), source=make)
        return make

    return register


def forecaster(name: str) -> Recipe:
    """The recipe of that name; an unknown one is a ValueError with the nearest."""
    return RECIPES[name]


def forecasters() -> dict[str, Recipe]:
    """All recipes by name, the package's own first."""
    return {name: RECIPES[name] for name in RECIPES.names()}
