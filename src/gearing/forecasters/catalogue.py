"""The package's own forecasters, by name."""

from __future__ import annotations

from typing import Any

from gearing.forecasters.register import (
    GARCH_COLUMNS,
    HAR_COLUMNS,
    HAR_X_COLUMNS,
    HARQ_COLUMNS,
    HOURLY_COLUMNS,
    SEQUENCE_COLUMNS,
    WEEKDAYS,
    WIDE_COLUMNS,
    register_forecaster,
)


def _proportional(**parameters: Any) -> Any:
    from gearing.forecasters.models.simple import ProportionalVariance

    return ProportionalVariance(**parameters)


def _har(**parameters: Any) -> Any:
    from gearing.forecasters.models.har import HARVolatility

    return HARVolatility(**parameters)


register_forecaster("last_variance", ["log_variance_24h"])(_proportional)
register_forecaster("ewma", ["ewma_log_variance_24h"])(_proportional)
register_forecaster("har", HAR_COLUMNS)(_har)
register_forecaster("har_dow", (*HAR_COLUMNS, *WEEKDAYS))(_har)
register_forecaster("har_x", HAR_X_COLUMNS)(_har)
register_forecaster("harq", HARQ_COLUMNS)(_har)


@register_forecaster("garch_t", GARCH_COLUMNS, exports=False, needs="numpy, scikit-learn (arch to fit)")
def _garch(**parameters: Any) -> Any:
    from gearing.forecasters.models.garch import GarchVariance

    return GarchVariance(**parameters)


@register_forecaster("gjr_t", GARCH_COLUMNS, exports=False, needs="numpy, scikit-learn (arch to fit)")
def _gjr(**parameters: Any) -> Any:
    from gearing.forecasters.models.garch import GarchVariance

    return GarchVariance(**{"asymmetric": True, **parameters})


@register_forecaster("ridge", WIDE_COLUMNS)
def _ridge(**parameters: Any) -> Any:
    from gearing.forecasters.models.linear import RidgeVariance

    return RidgeVariance(**parameters)


register_forecaster("ridge_hourly", HOURLY_COLUMNS)(_ridge)


@register_forecaster("elastic_net", WIDE_COLUMNS)
def _elastic_net(**parameters: Any) -> Any:
    from gearing.forecasters.models.linear import ElasticNetVariance

    return ElasticNetVariance(**parameters)


@register_forecaster("gamma_glm", WIDE_COLUMNS)
def _gamma_glm(**parameters: Any) -> Any:
    from gearing.forecasters.models.linear import GammaVariance

    return GammaVariance(**parameters)


@register_forecaster("hist_gradient", WIDE_COLUMNS, exports=False, needs="scikit-learn")
def _hist_gradient(**parameters: Any) -> Any:
    from gearing.forecasters.models.histogram import HistGradientVariance

    return HistGradientVariance(**parameters)


@register_forecaster("lightgbm_gamma", WIDE_COLUMNS)
def _lightgbm_gamma(**parameters: Any) -> Any:
    from gearing.forecasters.models.boosting import LightGBMVariance

    return LightGBMVariance(**{"objective": "gamma", **parameters})


@register_forecaster("lightgbm_log", WIDE_COLUMNS)
def _lightgbm_log(**parameters: Any) -> Any:
    from gearing.forecasters.models.boosting import LightGBMVariance

    return LightGBMVariance(**{"objective": "log", **parameters})


@register_forecaster("har_lightgbm", WIDE_COLUMNS)
def _har_lightgbm(**parameters: Any) -> Any:
    from gearing.forecasters.models.har import HARVolatility
    from gearing.forecasters.models.residual import ResidualVariance

    return ResidualVariance(**{"base": HARVolatility(), **parameters})


@register_forecaster("ridge_lightgbm", WIDE_COLUMNS)
def _ridge_lightgbm(**parameters: Any) -> Any:
    from gearing.forecasters.models.residual import ResidualVariance

    return ResidualVariance(**parameters)


@register_forecaster("gru", SEQUENCE_COLUMNS, exports=False, needs="torch, scikit-learn")
def _gru(**parameters: Any) -> Any:
    from gearing.forecasters.models.sequence import SequenceVariance

    return SequenceVariance(**parameters)


@register_forecaster("mean_of_best", WIDE_COLUMNS)
def _mean_of_best(**parameters: Any) -> Any:
    from gearing.forecasters.models.residual import MeanVariance

    return MeanVariance(**parameters)
