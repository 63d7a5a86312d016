import numpy as np
import pytest

from gearing.market import synthetic_market
from gearing.market.synthetic.crashes import cascade, funding_squeeze, gap


@pytest.fixture(scope="module")
def market():
    return synthetic_market("market-b", seed=2, years=20 / 365)


def test_a_gap_lies_between_a_close_and_the_next_open(market):
    crashed = gap(market, at=100, size=-0.3)
    assert crashed.open[100, 0] / crashed.close[99, 0] == pytest.approx(0.7)
    assert crashed.mark_open[100, 0] / crashed.mark_close[99, 0] == pytest.approx(0.7)
    np.testing.assert_array_equal(crashed.last[:100], market.last[:100])
    np.testing.assert_allclose(crashed.last[100:], 0.7 * market.last[100:])


def test_a_cascade_widens_the_basis_down_to_the_trough_and_gives_half_back(market):
    crashed = cascade(market, at=100, size=-0.5, bars=10, basis=-0.1)
    mark, last = crashed.mark / market.mark, crashed.last / market.last
    assert mark[109, 0, 3] == pytest.approx(0.5)
    assert last[109, 0, 3] == pytest.approx(0.45)  # 10 % below the mark
    assert last[104, 0, 3] == pytest.approx(0.45**0.5)  # halfway in logs
    assert mark[119, 0, 3] == pytest.approx(0.5**0.5)  # half of it, in logs, came back
    assert last[119, 0, 3] == pytest.approx(0.5**0.5)


def test_a_squeeze_settles_often_at_its_cap(market):
    crashed = funding_squeeze(market, at=96, rate=-0.02, bars=24, size=0.4)
    inside = crashed.settlements[
        (crashed.settlements["time"] >= market.open_time[96])
        & (crashed.settlements["time"] < market.open_time[120])
    ]
    assert inside.size == 12
    assert (inside["rate"] == -0.02).all()
    assert crashed.close[119, 0] / market.close[119, 0] == pytest.approx(1.4)


@pytest.mark.parametrize("scenario", ["gap", "cascade", "funding-squeeze"])
def test_scenarios_are_named_markets(scenario):
    market = synthetic_market("crash", seed=1, scenario=scenario)
    assert market.n_bars == 60 * 24
    assert market.truth is None


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m: gap(m, at=0), "begins at one of bars 1 to"),
        (lambda m: gap(m, at=5, size=-1.0), "simple return above -1"),
        (lambda m: cascade(m, at=475, bars=10), "do not fit"),
        (lambda m: synthetic_market("crash", scenario="flood"), "no crash scenario 'flood'"),
    ],
)
def test_impossible_crashes_are_refused(market, call, words):
    with pytest.raises(ValueError, match=words):
        call(market)
