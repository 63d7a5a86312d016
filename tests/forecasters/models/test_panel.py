"""One line of log variance for all contracts."""

import numpy as np
import pytest

from gearing.forecasters.models.panel import PanelForecaster


def panel(n=20_000, seed=0):
    """Clock, level and two regressors; log variance is the level plus 0.5 and -0.3 of them and noise of 0.4."""
    rng = np.random.default_rng(seed)
    X = np.column_stack([np.linspace(0.0, 1000.0, n), rng.normal(-6.0, 2.0, n), rng.normal(size=(n, 2))])
    y = np.exp(X[:, 1] + 0.5 * X[:, 2] - 0.3 * X[:, 3] + 0.2 + 0.4 * rng.normal(size=n))
    return X, y


def test_it_finds_the_law_and_carries_every_contract_s_level():
    X, y = panel()
    model = PanelForecaster(penalty=0.0).fit(X, y)
    np.testing.assert_allclose(model.coef_, [0.0, 1.0, 0.5, -0.3], atol=0.01)
    assert model.smearing_ == pytest.approx(np.exp(0.4**2 / 2.0), rel=0.01)
    unseen = X[:1] + np.array([0.0, 5.0, 0.0, 0.0])  # a contract 5 logs more volatile
    assert model.predict(unseen)[0] == pytest.approx(np.exp(5.0) * model.predict(X[:1])[0])


def test_the_penalty_is_per_row():
    # Standardised, uncorrelated regressors: ridge with penalty p per row shrinks each by 1 / (1 + p).
    X, y = panel()
    np.testing.assert_allclose(
        PanelForecaster(penalty=0.25).fit(X, y).coef_[2:], [0.5 / 1.25, -0.3 / 1.25], atol=0.01
    )


def test_old_rows_weigh_less():
    X, y = panel()
    y = y * np.exp(np.where(X[:, 0] < 900.0, 3.0, 0.0))  # all variances were e^3 times as large until day 900
    slow, fast = (PanelForecaster(half_life=days).fit(X, y).predict(X[-1:])[0] for days in (1e6, 10.0))
    assert slow > 5.0 * fast


def test_rows_of_weight_zero_are_as_if_they_were_not_there():
    X, y = panel(400)
    weight = np.arange(400.0) % 2
    np.testing.assert_allclose(
        PanelForecaster().fit(X, y, weight).coef_, PanelForecaster().fit(X[1::2], y[1::2]).coef_, rtol=1e-9
    )


def test_a_row_without_regressors_is_refused():
    X, y = panel(10)
    with pytest.raises(ValueError, match="3 columns or more, given 2"):
        PanelForecaster().fit(X[:, :2], y)


@pytest.mark.parametrize("weight", [np.ones(9), -np.ones(10), np.zeros(10)])
def test_weights_that_are_none_are_refused(weight):
    X, y = panel(10)
    with pytest.raises(ValueError, match="one weight for each of the 10 rows"):
        PanelForecaster().fit(X, y, weight)
