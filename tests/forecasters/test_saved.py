"""Forecasts on disk are arrays and a graph; a pickle in their place is not read."""

import pickle

import numpy as np
import pytest
from tests.features.markets import random_market

from gearing.forecasters import Schedule, forecast_volatility_column
from gearing.forecasters.saved import library_versions, load_column, load_forecast, save_column


class Runs:
    """Whose unpickling leaves a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.fixture(scope="module")
def column():
    schedule = Schedule(first_train="40d", refit="30d")
    return forecast_volatility_column(random_market(24 * 120, n_contracts=1), "har", schedule=schedule)


def test_a_column_reads_back_bit_for_bit(column, tmp_path):
    save_column(column, tmp_path)
    again = load_column(tmp_path)
    assert (again.name, again.horizon, again.recipe) == (column.name, column.horizon, column.recipe)
    for one, other in ((again.values, column.values), (again.fitted_until, column.fitted_until)):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(again.forecast.value, column.forecast.value)
    np.testing.assert_array_equal(again.forecast.rows.X, column.forecast.rows.X)
    assert again.forecast.rows.columns == column.forecast.rows.columns
    assert again.model.to_onnx().SerializeToString() == column.model.to_onnx().SerializeToString()
    X = column.forecast.rows.X[-5:]
    np.testing.assert_allclose(again.model.predict(X), column.model.predict(X), rtol=2e-5)


@pytest.mark.parametrize("name", ["column.npz", "forecast.npz"])
def test_a_pickle_in_the_place_of_arrays_is_refused_and_not_run(column, tmp_path, name):
    save_column(column, tmp_path)
    (tmp_path / name).write_bytes(pickle.dumps(Runs(tmp_path / "ran")))
    with pytest.raises(ValueError, match=f"{name} is missing or damaged; delete the folder"):
        load_column(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_an_array_of_objects_is_refused_and_not_run(column, tmp_path):
    save_column(column, tmp_path)
    np.savez(tmp_path / "forecast.npz", X=np.array([Runs(tmp_path / "ran")], object))
    with pytest.raises(ValueError, match=r"forecast\.npz is missing or damaged"):
        load_forecast(tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("cut", [0, 1, 100, -1])
def test_a_truncated_file_is_refused_by_its_name(column, tmp_path, cut):
    save_column(column, tmp_path)
    path = tmp_path / "forecast.npz"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ValueError, match=r"forecast\.npz is missing or damaged"):
        load_column(tmp_path)


def test_versions_of_what_fits_are_known():
    assert library_versions()["numpy"] == np.__version__
