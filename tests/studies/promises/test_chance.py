"""Cells that are broken or timid by chance alone."""

import numpy as np

from gearing.evaluation.risk.promises import realised
from gearing.studies.promises.chance import counts_by_chance

DAYS, CELLS = 1_500, 40


def counts(hits):
    found = [realised(one, 1.0, replications=200) for one in hits]
    low, high = (np.array([getattr(one, name) for one in found]) for name in ("low", "high"))
    return counts_by_chance(hits, low, high, "1d", seed=1, replications=300)


def test_of_independent_cells_one_in_forty_is_broken_by_chance():
    rng = np.random.default_rng(0)
    found = counts((rng.random((CELLS, DAYS)) < 0.1).astype(float))
    # 2.5 % of 40 on either side; percentile intervals are a little short
    assert 0.6 < found["broken_by_chance"] < 2.0
    assert 0.6 < found["timid_by_chance"] < 2.0
    assert found["broken_at_most"] <= 4.0


def test_cells_that_are_hit_on_the_same_days_are_broken_together():
    rng = np.random.default_rng(0)
    alike = np.repeat((rng.random((1, DAYS)) < 0.1).astype(float), CELLS, axis=0)
    found = counts(alike)
    # all or none: seldom, but then all 40, so that the 95 % quantile is none or all
    assert found["broken_at_most"] in (0.0, CELLS)
    assert 0.2 < found["broken_by_chance"] < 3.0


def test_a_cell_without_starts_on_some_days_is_judged_on_its_own():
    rng = np.random.default_rng(2)
    hits = (rng.random((CELLS, DAYS)) < 0.1).astype(float)
    hits[::2, : DAYS // 2] = np.nan
    found = counts(hits)
    assert 0.6 < found["broken_by_chance"] < 2.2
