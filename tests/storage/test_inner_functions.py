"""Functions that only compiled code calls."""

import math

import numpy as np
import pytest
from numba import config
from numba.core import event

from gearing.storage.compiling import njit
from gearing.storage.inner_functions import entry, inner

compiled = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="nothing is compiled")


@inner
def cube(x):
    return x * x * x


def halve(x, parts=2):
    return x / parts


def forty(x):
    return 40.0 * x


inner(halve, forceinline=True)
inner(forty, needed=lambda kinds: str(kinds[0]) == "float64", absent=math.nan)


@entry
def fill(numbers, results):
    for k in range(numbers.size):
        results[k] = cube(numbers[k]) + halve(numbers[k])


@entry
def choose(numbers, whole, results):
    results[0] = forty(numbers[0])
    results[1] = forty(whole[0])


def test_python_calls_an_inner_function_as_it_is():
    assert cube(3) == 27
    assert halve(3, parts=4) == 0.75
    assert type(cube).__name__ == "function"


def test_compiled_code_calls_inner_functions_with_their_defaults():
    results = np.empty(2)
    fill(np.array([2.0, 3.0]), results)
    np.testing.assert_array_equal(results, [8.0 + 1.0, 27.0 + 1.5])


@compiled
def test_a_function_that_is_not_needed_for_some_types_is_a_constant():
    results = np.empty(2)
    choose(np.array([2.0]), np.array([2]), results)
    np.testing.assert_array_equal(results, [80.0, math.nan])


def fourth_powers(numbers, results):
    results[0] = numbers[0] * cube(numbers[0]) + cube(2) + cube(3)


@compiled
def test_a_function_is_translated_once_for_all_callers_and_constants():
    callers = [njit(_nrt=False)(fourth_powers), njit(_nrt=False, error_model="numpy")(fourth_powers)]
    with event.install_recorder("numba:compile") as recorder:
        for caller in callers:
            results = np.empty(1)
            caller(np.array([2.0]), results)
            assert results[0] == 16.0 + 8.0 + 27.0
    starts = [data for _, data in recorder.buffer if data.is_start]
    names = [data.data["dispatcher"].py_func.__name__ for data in starts]
    assert names.count("fourth_powers") == 2
    assert names.count("cube") <= 2  # for floats, if no test before has, and for the whole numbers 2 and 3
