"""Names of metrics in tracked runs."""

import numpy as np

from gearing.studies.recording.metrics import numbers_of, of_policies


def test_words_and_what_is_not_finite_are_no_metrics():
    given = {"growth": 0.5, "count": np.int64(3), "ruined": True, "text": "ruined", "none": None}
    given |= {"missing": float("nan"), "calmar": float("inf"), "list": [1.0]}
    assert numbers_of(given) == {"growth": 0.5, "count": 3.0, "ruined": 1.0}


def test_the_main_policy_has_metrics_without_a_prefix_and_every_policy_its_first_ones_under_its_name():
    rows = {"ppo": {"log_growth": 0.2, "seconds": 9.0}, "fixed_1x": {"log_growth": 0.1, "seconds": 0.0}}
    assert of_policies(rows, "ppo") == {
        "log_growth": 0.2, "seconds": 9.0, "ppo/log_growth": 0.2, "fixed_1x/log_growth": 0.1,
    }  # fmt: skip
    assert of_policies(rows, None) == {"ppo/log_growth": 0.2, "fixed_1x/log_growth": 0.1}
