import numpy as np
import pytest
import statsmodels.api as sm

from gearing.forecasters.scoring import scores

RNG = np.random.default_rng(5)


def test_qlike_is_zero_for_the_truth_and_charges_low_forecasts_more():
    y = np.array([2.0, 2.0, 2.0])
    # half: 2 - ln 2 - 1 = 0.307; double: 0.5 + ln 2 - 1 = 0.193
    np.testing.assert_allclose(scores.qlike(y, np.array([2.0, 1.0, 4.0])), [0.0, 0.30685, 0.19315], atol=1e-5)


def test_qlike_is_half_the_gamma_deviance():
    from sklearn.metrics import mean_gamma_deviance

    y, f = RNG.gamma(2.0, 1.0, 500), RNG.gamma(2.0, 1.0, 500)
    assert scores.qlike(y, f).mean() == pytest.approx(mean_gamma_deviance(y, f) / 2)


def test_rmse_of_log_volatility_of_a_forecast_off_by_a_factor():
    y = RNG.gamma(2.0, 1.0, 50)
    assert scores.rmse_log_volatility(y, 4.0 * y) == pytest.approx(np.log(2.0))  # volatility is twice


def test_mincer_zarnowitz_finds_the_line():
    forecast = RNG.uniform(0.1, 1.0, 200)
    line = scores.mincer_zarnowitz((0.05 + 0.8 * forecast) ** 2, forecast**2)
    assert (line.intercept, line.slope, line.r2) == pytest.approx((0.05, 0.8, 1.0))


def test_expanding_mean_uses_only_targets_that_had_ended():
    y = np.array([1.0, 3.0, 5.0, 7.0])
    assert scores.expanding_mean(y).tolist() == [1.0, 1.0, 2.0, 3.0]
    assert scores.expanding_mean(y, n_ahead=2).tolist() == [1.0, 1.0, 1.0, 2.0]
    assert scores.out_of_sample_r2(y, y, scores.expanding_mean(y)) == 1.0


@pytest.mark.parametrize("lag", [0, 3, 10])
def test_long_run_variance_agrees_with_statsmodels(lag):
    x = np.convolve(RNG.normal(size=400), [1.0, 0.5, 0.3], mode="valid")
    fit = sm.OLS(x, np.ones(len(x))).fit(cov_type="HAC", cov_kwds={"maxlags": lag, "use_correction": False})
    assert scores.newey_west(x, lag) / len(x) == pytest.approx(fit.bse[0] ** 2)


def test_diebold_mariano_is_antisymmetric_and_rejects_about_as_often_as_it_says():
    rejected = 0
    for _ in range(400):
        loss = RNG.normal(size=(2, 120))
        test = scores.diebold_mariano(loss[0], loss[1])
        assert scores.diebold_mariano(loss[1], loss[0]).t == pytest.approx(-test.t)
        rejected += test.p < 0.05
    assert 0.02 <= rejected / 400 <= 0.11  # 5 %, a little more for estimating the variance with five lags


def test_two_equal_forecasts_do_not_differ():
    loss = RNG.normal(size=50)
    assert scores.diebold_mariano(loss, loss).p == 1.0
