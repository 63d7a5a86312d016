"""The package's own forecasters, by name."""

from collections.abc import Callable
from functools import partial, update_wrapper
from importlib import import_module
from typing import Any

from gearing.forecasters.register import (
    GARCH_COLUMNS,
    HAR_COLUMNS,
    HAR_X_COLUMNS,
    HARQ_COLUMNS,
    HOURLY_COLUMNS,
    PANEL_COLUMNS,
    PANEL_OWN_COLUMNS,
    SEQUENCE_COLUMNS,
    WEEKDAYS,
    WIDE_COLUMNS,
    register_forecaster,
)


def _estimator(module: str, name: str, /, **parameters: Any) -> Any:
    return getattr(import_module(f"gearing.forecasters.models.{module}"), name)(**parameters)


def _model(module: str, name: str, **defaults: Any) -> Callable[..., Any]:
    """A picklable function that makes an estimator of the ``models`` package, imported when it is called."""
    return update_wrapper(partial(_estimator, module, name, **defaults), _estimator)


_proportional = _model("simple", "ProportionalVariance")
register_forecaster("last_variance", ["log_variance_24h"])(_proportional)
register_forecaster("ewma", ["ewma_log_variance_24h"])(_proportional)
register_forecaster("ewma_2d", ["ewma_log_variance_2d"])(
    _proportional
)  # best half-life on the years before 2023

_har = _model("har", "HARVolatility")
register_forecaster("har", HAR_COLUMNS)(_har)
register_forecaster("har_dow", (*HAR_COLUMNS, *WEEKDAYS))(_har)
register_forecaster("har_x", HAR_X_COLUMNS)(_har)
register_forecaster("harq", HARQ_COLUMNS)(_har)

for _name, _asymmetric in (("garch_t", False), ("gjr_t", True)):
    register_forecaster(_name, GARCH_COLUMNS)(_model("garch", "GarchVariance", asymmetric=_asymmetric))

register_forecaster("ridge", WIDE_COLUMNS)(_model("linear", "RidgeVariance"))
register_forecaster("panel", PANEL_COLUMNS)(_model("panel", "PanelForecaster"))
register_forecaster("ridge_panel", PANEL_COLUMNS[1:])(_model("linear", "RidgeVariance"))
register_forecaster("ridge_own", ("panel_level", *PANEL_OWN_COLUMNS))(_model("linear", "RidgeVariance"))
register_forecaster("ridge_hourly", HOURLY_COLUMNS)(_model("linear", "RidgeVariance"))
register_forecaster("elastic_net", WIDE_COLUMNS)(_model("linear", "ElasticNetVariance"))
register_forecaster("gamma_glm", WIDE_COLUMNS)(_model("linear", "GammaVariance"))
register_forecaster("hist_gradient", WIDE_COLUMNS)(_model("histogram", "HistGradientVariance"))
register_forecaster("lightgbm_gamma", WIDE_COLUMNS)(_model("boosting", "LightGBMVariance", objective="gamma"))
register_forecaster("lightgbm_log", WIDE_COLUMNS)(_model("boosting", "LightGBMVariance", objective="log"))


@register_forecaster("har_lightgbm", WIDE_COLUMNS)
def _har_lightgbm(**parameters: Any) -> Any:
    return _model("residual", "ResidualVariance", base=_har())(**parameters)


register_forecaster("ridge_lightgbm", WIDE_COLUMNS)(_model("residual", "ResidualVariance"))
register_forecaster("gru", SEQUENCE_COLUMNS)(_model("sequence", "SequenceVariance"))
register_forecaster("mean_of_best", WIDE_COLUMNS)(_model("residual", "MeanVariance"))
