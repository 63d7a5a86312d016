"""An object is the same after packing; large arrays are shared and cannot be written, small ones are copies."""

from functools import partial

import numpy as np
import pytest

from gearing.studies.engines.packing import pack, read_packed, unpack, write_packed

LARGE = np.arange(200_000, dtype=np.float64).reshape(400, 500)  # 1.6 MB
SMALL = np.array([1.5, 2.5])


def scaled(array, factor):
    return array * factor


def through_memory(thing, tmp_path):
    return unpack(pack(thing))


def through_a_file(thing, tmp_path):
    write_packed(tmp_path / "thing", thing)
    return read_packed(tmp_path / "thing")


@pytest.mark.parametrize("through", [through_memory, through_a_file])
def test_objects_are_the_same_after_packing(through, tmp_path):
    given = {
        "large": LARGE,
        "fortran": np.asfortranarray(LARGE),
        "small": SMALL,
        "empty": np.zeros((0, 3)),
        "text": "ä",
    }
    found = through(given, tmp_path)
    assert list(found) == list(given)
    for name in ("large", "fortran", "small", "empty"):
        np.testing.assert_array_equal(found[name], given[name])
    assert found["fortran"].flags.f_contiguous
    assert through(partial(scaled, LARGE), tmp_path)(2.0)[0, 3] == 6.0
    assert through(lambda: 7, tmp_path)() == 7  # of a script or notebook


def test_large_arrays_of_a_file_are_mapped_and_small_ones_are_copies(tmp_path):
    found = through_a_file([LARGE, SMALL], tmp_path)
    assert not found[0].flags.writeable
    assert not found[0].flags.owndata
    found[1][0] = 9.0
    assert SMALL[0] == 1.5


def test_the_file_of_a_large_array_holds_it_once(tmp_path):
    write_packed(tmp_path / "thing", [LARGE, LARGE, {"again": LARGE}])
    assert LARGE.nbytes < (tmp_path / "thing").stat().st_size < 1.1 * LARGE.nbytes
