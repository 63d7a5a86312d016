"""The law is coherent: probabilities invert distances, and a longer horizon is never less likely to touch."""

from dataclasses import replace

import numpy as np
import pytest

from gearing.forecasters.excursion_law.fitting import ENOUGH, LARGEST_SHIFT, adapted, fit_law
from gearing.forecasters.excursion_law.law import (
    CALIBRATED,
    LEVELS,
    check_promise,
    excursion_column,
    is_rare,
    read_column,
)
from gearing.forecasters.excursion_law.starts import DailyStarts

FIRST = np.datetime64("2021-01-01", "D")
HORIZONS = ("1d", "7d", "30d")


def made_up(n_days=500, n_contracts=4, seed=0, scale=0.03, shock=None):
    """Starts whose multiples are half-normal at every horizon, of contracts that move together; scale is known."""
    rng = np.random.default_rng(seed)
    lengths = np.array([1, 7, 30])
    scales = np.broadcast_to(scale * np.sqrt(lengths)[:, None, None], (3, n_contracts, n_days)).copy()
    common, own = rng.normal(size=(3, 2, 1, n_days)), rng.normal(size=(3, 2, n_contracts, n_days))
    multiple = np.abs(np.sqrt(0.5) * common + np.sqrt(0.5) * own)
    if shock is not None:
        multiple[..., shock[0] :] *= shock[1]
    excursion = multiple * scales[:, None]
    for h, length in enumerate(lengths):
        excursion[h, :, :, n_days - length :] = np.nan
    age = np.broadcast_to(np.arange(n_days, dtype=float) + 100.0, (n_contracts, n_days)).copy()
    names = tuple(f"C{k}" for k in range(n_contracts))
    return DailyStarts(names, FIRST + np.arange(n_days), HORIZONS, excursion, scales, age)


@pytest.fixture(scope="module")
def starts():
    return made_up()


@pytest.fixture(scope="module")
def law(starts):
    return fit_law(starts)


def moments_of(starts):
    return starts.days.astype("datetime64[ms]")


def test_the_distance_of_half_normal_moves_is_their_quantile(starts, law):
    scaled = law.scaled(moments_of(starts), starts.scale[:, 0], starts.age[0])
    found = np.median(law.distance(moments_of(starts), scaled, 0.25)[0, :, 200:], axis=1)
    np.testing.assert_allclose(found, 0.03 * 1.1503, rtol=0.1)  # P(|Z| > 1.1503) = 0.25


def test_probabilities_invert_distances(starts, law):
    scaled = law.scaled(moments_of(starts), starts.scale[:, 0], starts.age[0])
    for budget in (0.002, 0.01, 0.03, 0.25, 0.4):
        distance = law.distance(moments_of(starts), scaled, budget, floor=False)
        p = law.probability(moments_of(starts), scaled, distance)
        known = np.isfinite(distance).all(axis=0).all(axis=0)
        assert known.sum() > 300
        # where a shorter horizon decides the distance of a longer one, the longer one is at most as likely
        assert (p[..., known] >= budget - 1e-9).all()
        np.testing.assert_allclose(p[0][:, known], budget, rtol=1e-9)


def test_a_longer_horizon_is_never_less_likely_to_touch_and_a_larger_budget_never_farther(starts, law):
    scaled = law.scaled(moments_of(starts), starts.scale[:, 0], starts.age[0])
    distances = np.stack(
        [law.distance(moments_of(starts), scaled, b) for b in (0.001, 0.01, 0.02, 0.05, 0.3)]
    )
    known = np.isfinite(distances[1:, :, 0]).all(axis=(0, 1))
    assert (np.diff(distances[:, :, 0][..., known], axis=0) <= 0.0).all()
    assert (np.diff(distances[:, :, 0][..., known], axis=1) >= 0.0).all()
    for size in (0.01, 0.05, 0.2):
        p = law.probability(moments_of(starts), scaled, np.array(size))
        assert (np.diff(p[..., known], axis=0) >= 0.0).all()


def test_there_is_no_distance_before_enough_starts_have_ended(starts, law):
    scaled = law.scaled(moments_of(starts), starts.scale[:, 0], starts.age[0])
    first = int(np.isfinite(law.distance(moments_of(starts), scaled, 0.05)[2, 0]).argmax())
    # four contracts: a table of 30 days needs 45 days of starts that ended, from the first of a month on
    assert ENOUGH / 4 + 30 <= first <= ENOUGH / 4 + 30 + 31
    assert starts.days[first].astype(object).day == 1


def test_what_follows_a_day_does_not_change_its_law(starts, law):
    day = 400
    cut = fit_law(starts.until(starts.days[day]))
    np.testing.assert_array_equal(cut.shift[day], law.shift[day])
    np.testing.assert_array_equal(cut.multiples[cut.fit_of_day[day]], law.multiples[law.fit_of_day[day]])
    np.testing.assert_array_equal(cut.events[day], law.events[day])


def test_a_frozen_law_is_that_of_its_day(starts, law):
    day, later = starts.days[350], moments_of(starts)[400:405]
    frozen = law.frozen(day)
    scaled = frozen.scaled(later, starts.scale[:, 0, 400:405], starts.age[0, 400:405])
    np.testing.assert_allclose(scaled[1:], starts.scale[1:, 0, 400:405], rtol=0.2)
    np.testing.assert_array_equal(frozen.shift[0], law.shift[350])


def test_the_calibration_brings_a_promise_back_that_the_tables_do_not_yet_know():
    shocked = made_up(n_days=900, shock=(600, 1.5))
    with_it, without = (fit_law(shocked, calibrate=on) for on in (True, False))
    now = moments_of(shocked)
    share = []
    for law in (with_it, without):
        scaled = law.scaled(now, shocked.scale[:, 0], shocked.age[0])
        distance = law.distance(now, scaled, 0.25)[0, 0]
        share.append((shocked.excursion[0, 0, 0, 650:850] >= distance[650:850]).mean())
    assert abs(share[0] - 0.25) < abs(share[1] - 0.25)


def own_tail(times, n_days=900):
    """The pool, and a contract whose moves over a day are some times as many of its scales as the pool's."""
    every = made_up(n_days=n_days)
    mine = every.of(["C0"])
    return every.of(["C1", "C2", "C3"]), replace(mine, excursion=mine.excursion * times)


def test_a_contract_whose_moves_are_larger_than_the_pools_gets_a_law_of_its_own():
    pool, mine = own_tail(1.3)
    law = fit_law(pool)
    now, share = moments_of(mine), []
    for one in (law, adapted(law, mine, gain=0.02)):
        scaled = one.scaled(now, mine.scale[:, 0], mine.age[0])
        distance = one.distance(now, scaled, 0.25)[0, 0]
        share.append(np.nanmean(mine.excursion[0, 0, 0, 400:890] >= distance[400:890]))
    # 25 % of half-normal moves exceed 1.150, and 1.3 times as large ones do with P(|Z| > 0.885) = 0.376
    assert share[0] > 0.32
    assert abs(share[1] - 0.25) < 0.6 * (share[0] - 0.25)


def test_an_own_calibration_knows_what_had_ended_and_keeps_budgets_in_their_order():
    pool, mine = own_tail(3.0)
    law = fit_law(pool)
    found = adapted(law, mine, gain=0.05)
    day = 400
    cut = adapted(fit_law(pool.until(pool.days[day])), mine.until(mine.days[day]), gain=0.05)
    np.testing.assert_array_equal(cut.shift[day], found.shift[day])
    assert np.abs(found.shift).max() <= LARGEST_SHIFT + 1e-12
    np.testing.assert_array_equal(adapted(law, mine, gain=0.0).shift, law.shift)


def test_shifts_never_change_the_order_of_budgets():
    assert np.diff(np.log(CALIBRATED)).min() > 2 * LARGEST_SHIFT
    assert (np.diff(LEVELS) > 0.0).all()


def test_a_contract_without_a_past_gets_the_scale_of_the_pool(starts, law):
    now = moments_of(starts)[400:401]
    young = law.scaled(now, np.full((3, 1), 1.0), np.zeros(1))
    np.testing.assert_allclose(
        young[:, 0], np.exp(law.middle[:, 400]) * law.scaled(now, np.full((3, 1), 1.0), np.full(1, 1e9))[:, 0]
    )


def test_a_short_over_a_month_at_one_percent_is_refused_with_the_number_of_events(law):
    assert is_rare("30d", 0.01)
    assert not is_rare("7d", 0.01)
    assert "independent events" in law.refusal("30d", -1, 0.01)
    assert law.refusal("30d", 1, 0.01) is None
    with pytest.raises(ValueError, match="cannot be promised"):
        check_promise("30d", -1, 0.01)
    with pytest.raises(ValueError, match=r"from 0\.001 to 0\.5"):
        check_promise("7d", 1, 0.7)


def test_a_long_over_a_month_at_one_percent_gets_the_worst_multiple_ever_seen(starts, law):
    scaled = law.scaled(moments_of(starts), starts.scale[:, 0], starts.age[0])
    floor = law.worst[-1, 2, 0] * scaled[2, -1]
    assert law.distance(moments_of(starts), scaled, 0.01)[2, 0, -1] >= floor
    assert np.isinf(law.distance(moments_of(starts), scaled, 0.01)[2, 1, -1])


def test_a_column_is_named_by_side_horizon_and_percent_and_read_back():
    assert excursion_column("24h", 0.005, -1) == "excursion_up_1d_0_5"
    assert read_column("excursion_up_1d_0_5") == ("1d", 0.005, -1)
    assert read_column("excursion_down_7d_25") == ("7d", 0.25, 1)
    for other in (
        "excursion_down_36h_1",
        "touch_down_5",
        "excursion_side_7d_1",
        "log_return",
        "excursion_down_7d",
    ):
        assert read_column(other) is None
