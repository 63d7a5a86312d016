"""Features: columns known at the close of a bar, one file per family."""

from gearing.features.families import (  # noqa: F401  the families register themselves
    availability,
    bands,
    basis,
    calendar,
    correlation,
    funding,
    implied,
    liquidity,
    panel,
    ranges,
    returns,
    signals,
    trend,
    volatility,
)
from gearing.features.feature import (
    Feature as Feature,
    feature as feature,
    forget_feature as forget_feature,
    get_feature as get_feature,
    is_feature as is_feature,
    registered_features as registered_features,
)
from gearing.features.feature_set import GROUPS as GROUPS, FeatureSet as FeatureSet
from gearing.features.leakage import FeatureError as FeatureError, check_feature as check_feature
from gearing.features.table import FeatureTable as FeatureTable
from gearing.lazy import reexports
from gearing.market.timing import (
    bars_in as bars_in,
    bars_per_year as bars_per_year,
    parse_duration as parse_duration,
)

__all__ = reexports(__name__)
