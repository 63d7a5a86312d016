"""Every recipe's estimator keeps scikit-learn's manners and gives the same numbers when exported."""

import pickle

import numpy as np
import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator

from gearing.forecasters import forecaster, forecasters, register_forecaster
from gearing.forecasters.models.boosting import LightGBMVariance
from gearing.forecasters.models.har import HARVolatility
from gearing.forecasters.models.scaled import ScaledForecaster

FEW = {"n_trees": 10, "rows_per_leaf": 5}
# scikit-learn's checks that cannot hold, with the reason.
NEEDS_COLUMNS = "a row is a clock, a level and what goes with them; it has three columns or more"
EXCUSED = {
    name: dict.fromkeys(
        (
            "check_estimators_overwrite_params",
            "check_estimators_fit_returns_self",
            "check_readonly_memmap_input",
            "check_fit_idempotent",
            "check_fit_check_is_fitted",
            "check_n_features_in",
        ),
        NEEDS_COLUMNS,
    )
    for name in ("garch_t", "gjr_t", "panel")
}
EXCUSED["panel"] |= dict.fromkeys(
    (
        "check_sample_weights_pandas_series",
        "check_sample_weights_not_an_array",
        "check_sample_weights_shape",
        "check_sample_weights_not_overwritten",
    ),
    NEEDS_COLUMNS,
)


def small(name):
    """The recipe's estimator, cut down so that a check takes no time."""
    parameters = {}
    if name.startswith(("lightgbm", "hist")):
        parameters = FEW
    elif name == "gru":
        parameters = {"epochs": 3}
    elif name in ("har_lightgbm", "ridge_lightgbm"):
        parameters = {"correction": LightGBMVariance(**FEW)}
    elif name == "mean_of_best":
        parameters = {"members": [("har", HARVolatility()), ("trees", LightGBMVariance(**FEW))]}
    return forecaster(name).estimator(**parameters)


def problem(n_columns, n_rows=400, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, n_columns)).astype(np.float32)
    y = np.exp(-7.0 + 0.5 * X[:, 0] - 0.3 * X[:, n_columns // 2] + 0.6 * rng.normal(size=n_rows))
    return X, y


def cases():
    found = []
    for name in forecasters():
        for estimator, check in estimator_checks_generator(small(name)):
            label = getattr(check, "func", check).__name__
            found.append(pytest.param(name, estimator, check, id=f"{name}-{label}"))
    return found


@pytest.mark.parametrize(("name", "estimator", "check"), cases())
def test_estimator_passes_the_checks_of_scikit_learn(name, estimator, check):
    label = getattr(check, "func", check).__name__
    if label in EXCUSED.get(name, {}):
        pytest.skip(EXCUSED[name][label])
    check(estimator)


def test_every_forecaster_of_the_catalogue_goes_into_bundles():
    assert [name for name, recipe in forecasters().items() if not recipe.exports] == []


@pytest.mark.parametrize("name", [n for n, recipe in forecasters().items() if recipe.exports])
def test_onnx_gives_the_variances_of_the_estimator(name):
    onnxruntime = pytest.importorskip("onnxruntime")
    X, y = problem(len(forecaster(name).columns))
    model = ScaledForecaster(small(name).fit(X, y), scale=1.07)
    session = onnxruntime.InferenceSession(
        model.to_onnx().SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (variance,) = session.run(None, {"X": X})
    assert variance.shape == (len(X), 1)
    exact = model.predict(X)
    # A bundle's column is the volatility: 1e-6 of its scale, the largest forecast. The graph computes exp of a log
    # variance of about -7 in float32: 4 roundings of 6e-8 times 7 are 1.7e-6 of a variance.
    volatility = np.sqrt(exact)
    np.testing.assert_allclose(np.sqrt(variance[:, 0]), volatility, rtol=0.0, atol=1e-6 * volatility.max())
    np.testing.assert_allclose(variance[:, 0], exact, rtol=5e-6)


@pytest.mark.parametrize("name", list(forecasters()))
def test_forecasts_do_not_depend_on_the_order_of_rows(name):
    X, y = problem(len(forecaster(name).columns))
    order = np.random.default_rng(1).permutation(len(y))
    straight = small(name).fit(X, y).predict(X)
    mixed = small(name).fit(X, y).predict(X[order])
    np.testing.assert_allclose(mixed, straight[order], rtol=1e-9)


@pytest.mark.parametrize("name", list(forecasters()))
def test_a_variance_of_zero_is_refused(name):
    X, y = problem(len(forecaster(name).columns))
    y[3] = 0.0
    with pytest.raises(ValueError, match="row 3 has 0"):
        small(name).fit(X, y)


def test_har_recovers_a_log_linear_law_and_corrects_its_bias():
    X, y = problem(3, n_rows=20_000)
    model = HARVolatility().fit(X, y)
    np.testing.assert_allclose(model.coef_, [0.5, -0.3, 0.0], atol=0.02)
    assert model.smearing_ == pytest.approx(
        np.exp(0.6**2 / 2), rel=0.03
    )  # mean of a lognormal over its median
    assert HARVolatility(bias_correction=None).fit(X, y).smearing_ == 1.0


@pytest.mark.parametrize("name", ["ridge", "har", "gamma_glm"])
def test_a_column_far_outside_the_range_it_was_fitted_on_counts_as_one_range_outside(name):
    rng = np.random.default_rng(0)
    X = rng.uniform(0.0, 1.0, (300, 2))
    model = forecaster(name).estimator().fit(X, np.exp(X @ [1.0, -2.0] + 0.1 * rng.normal(size=300)))
    # the range is all but [0, 1], so a column counts as -1 to 2 at most
    at = model.predict([[0.5, 1.5], [0.5, 1.9], [0.5, 2.01], [0.5, 100.0]])
    assert at[1] < at[0]
    assert at[3] == at[2] == pytest.approx(at[1], rel=0.3)
    session = pytest.importorskip("onnxruntime").InferenceSession(model.to_onnx().SerializeToString())
    exported = session.run(None, {"X": np.array([[0.5, 100.0]], np.float32)})[0]
    assert exported.item() == pytest.approx(at[3], rel=1e-5)


def test_leave_one_out_residuals_are_those_of_fits_without_the_row():
    X, y = problem(3, n_rows=30)
    residuals = []
    for i in range(30):
        rest = np.arange(30) != i
        model = HARVolatility(bias_correction=None).fit(X[rest], y[rest])
        residuals.append(np.log(y[i]) - np.log(model.predict(X[i : i + 1])[0]))
    assert HARVolatility().fit(X, y).smearing_ == pytest.approx(np.exp(residuals).mean(), rel=1e-6)


@pytest.mark.parametrize("name", ["har", "lightgbm_gamma"])
def test_an_unknown_option_is_named(name):
    X, y = problem(len(forecaster(name).columns))
    option = {"har": {"bias_correction": "jensen"}, "lightgbm_gamma": {"objective": "mse"}}[name]
    model = forecaster(name).estimator().set_params(**option)
    with pytest.raises(ValueError, match=repr(next(iter(option.values())))):
        model.fit(X, y)


def test_an_unknown_forecaster_suggests_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'har_dow'"):
        forecaster("har_dw")


def test_a_name_is_not_given_twice():
    with pytest.raises(ValueError, match="already registered"):
        register_forecaster("har", ["log_variance_24h"])(lambda: None)


def test_a_recipe_goes_to_other_processes_and_to_disk():
    for name, recipe in forecasters().items():
        assert pickle.loads(pickle.dumps(recipe)).name == name
