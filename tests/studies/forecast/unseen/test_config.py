"""Settings of an experiment with contracts that no model was fitted on."""

import pytest
from pydantic import ValidationError

from gearing.studies.forecast.unseen.config import UnseenConfig

GENERATED = {"generator": "market-b", "contracts": ["A", "B"], "years": 0.1}


def config(**settings):
    return UnseenConfig.model_validate({"name": "x", "market": GENERATED, **settings})


def test_ratios_need_har():
    with pytest.raises(ValidationError, match="opponents must include 'har'"):
        config(opponents=["ridge"])


def test_an_unknown_opponent_suggests_the_nearest():
    with pytest.raises(ValidationError, match="har_dow"):
        config(opponents=["har", "har_dw"])
