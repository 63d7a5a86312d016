"""Scores of variance and probability forecasts, intervals, model confidence set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gearing.lazy import lazy_exports

if TYPE_CHECKING:
    from gearing.forecasters.scoring.event_scores import (
        Reliability as Reliability,
        brier as brier,
        log_score as log_score,
        reliability as reliability,
    )
    from gearing.forecasters.scoring.intervals import (
        conformal_intervals as conformal_intervals,
        coverage as coverage,
        pinball as pinball,
    )
    from gearing.forecasters.scoring.model_set import model_confidence_set as model_confidence_set
    from gearing.forecasters.scoring.scores import (
        diebold_mariano as diebold_mariano,
        mincer_zarnowitz as mincer_zarnowitz,
        out_of_sample_r2 as out_of_sample_r2,
        qlike as qlike,
        rmse_log_volatility as rmse_log_volatility,
    )
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__)
