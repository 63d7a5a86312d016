"""Features: columns known at the close of a bar, one file per family."""

from gearing.features import (  # noqa: F401  the families register themselves
    bands,
    basis,
    calendar,
    correlation,
    funding,
    implied,
    liquidity,
    ranges,
    returns,
    signals,
    trend,
    volatility,
)
from gearing.features.feature import (
    Feature,
    feature,
    forget_feature,
    get_feature,
    is_feature,
    registered_features,
)
from gearing.features.feature_set import GROUPS, FeatureSet
from gearing.features.table import FeatureTable
from gearing.market.timing import bars_in, bars_per_year, parse_duration

__all__ = [
    "GROUPS",
    "Feature",
    "FeatureSet",
    "FeatureTable",
    "bars_in",
    "bars_per_year",
    "feature",
    "forget_feature",
    "get_feature",
    "is_feature",
    "parse_duration",
    "registered_features",
]
