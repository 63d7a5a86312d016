import numpy as np
import pytest

from gearing.market import synthetic_market
from gearing.market.synthetic.stylised_facts import (
    FACTS,
    autocorrelation,
    describe,
    describe_seeds,
    hill_index,
    jump_statistics,
    local_outliers,
    moment,
    plot_facts,
    variance_ratio,
)

GAUSS = np.random.default_rng(1).standard_normal(240_000)


def test_an_ar1_series_has_its_known_autocorrelation():
    x = np.empty(100_000)
    x[0] = 0.0
    for t in range(1, x.size):
        x[t] = 0.6 * x[t - 1] + GAUSS[t]
    assert autocorrelation(x, 1) == pytest.approx(0.6, abs=0.01)
    assert autocorrelation(x, 3) == pytest.approx(0.216, abs=0.02)


def test_moments_of_a_normal_law_are_zero_and_three():
    assert moment(GAUSS, 3) == pytest.approx(0.0, abs=0.02)
    assert moment(GAUSS, 4) == pytest.approx(3.0, abs=0.05)


def test_a_random_walk_has_variance_ratio_one_and_a_reverting_one_less():
    assert variance_ratio(GAUSS, 24) == pytest.approx(1.0, abs=0.03)
    # differences of white noise: the variance of a sum of 24 is 2 against 24 x 2
    assert variance_ratio(np.diff(GAUSS), 24) == pytest.approx(1 / 24, abs=0.002)


def test_hill_finds_the_index_of_a_pareto_tail():
    pareto = np.random.default_rng(2).random(200_000) ** (-1 / 2.5)
    assert hill_index(pareto, 0.05) == pytest.approx(2.5, abs=0.05)


def test_days_without_jumps_seldom_test_positive_and_days_with_one_usually_do():
    days = GAUSS.reshape(-1, 24)
    _, quiet = jump_statistics(days)
    jumped = days.copy()
    jumped[:, 12] += 12.0
    _, loud = jump_statistics(jumped)
    assert quiet < 0.02
    assert loud > 0.85  # measured power at 24 bars a day and a jump of 12 sd


def test_hours_beyond_five_sigma_are_counted_per_year():
    x = GAUSS.copy()
    x[1000::8760] = 20.0  # one a year
    assert local_outliers(x) == pytest.approx(1.0, abs=0.1)


@pytest.mark.slow
def test_market_b_lies_in_every_range_by_the_median_of_six_seeds():
    # 60 years in one piece give ACF of abs return 0.25, 0.12, 0.09, 0.04, as in the protocol; samples of six
    # years are biased downwards (0.074 and 0.030 at 168 and 720 h), so other seeds can fall just below.
    table = describe_seeds("market-b", range(6))
    outside = table[~table["within"]]
    assert outside.empty, f"\n{outside}"


def test_a_table_names_every_fact_with_its_range():
    table = describe(synthetic_market("market-b", seed=0, years=1))
    assert table.index.tolist() == [fact.name for fact in FACTS]
    assert table["value"].notna().all()
    assert list(table.columns) == ["value", "low", "high", "within", "bitcoin", "ether", "unit"]


def test_the_facts_are_drawn_in_four_panels(tmp_path):
    figure = plot_facts(synthetic_market("market-b", seed=0, years=0.5))
    assert len(figure.axes) == 4
    figure.savefig(tmp_path / "facts.png")


def test_too_short_a_history_is_refused():
    with pytest.raises(ValueError, match="at least 60 whole days"):
        describe(synthetic_market("market-b", seed=0, years=0.1))


def test_bars_longer_than_an_hour_are_refused():
    with pytest.raises(ValueError, match="hourly or shorter"):
        describe(synthetic_market("market-b", seed=0, years=1, bar="8h"))


# Where the period that ends in mid 2025 moves a figure from the published one, which ends in mid 2026: value here.
# Everything else agrees within 8 % or a hundredth or two.
MOVED = {
    "BTCUSDT": {"kurtosis 7 d": 5.33, "funding mean": 1.20, "funding share at 1 bp": 0.40},
    "ETHUSDT": {"ACF of daily log RV, 30 d": 0.30, "funding mean": 1.47, "funding share at 1 bp": 0.40},
}


@pytest.mark.slow
@pytest.mark.parametrize(("column", "symbol"), [("bitcoin", "BTCUSDT"), ("ether", "ETHUSDT")])
def test_the_same_statistics_give_the_published_table_on_real_history(real_history, column, symbol):
    from gearing.market import load_market

    market = load_market(real_history, [symbol], missing_mark="last", missing_tiers="earliest")
    table = describe(market)
    published = table[column].copy()
    published.update(MOVED[symbol])
    away = (table["value"] - published).abs()
    beyond = table[(away > 0.08 * published.abs()) & (away > 0.025)]
    assert beyond.empty, f"\n{beyond}"
    outside = table.index[~table["within"]].tolist()
    assert outside == (["ACF of daily log RV, 30 d"] if symbol == "ETHUSDT" else [])  # 0.301 against 0.30
