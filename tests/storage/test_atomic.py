import json

import numpy as np
import pytest

from gearing.storage.atomic import write_arrays, write_atomically, write_json, write_text


def test_a_write_that_fails_leaves_the_old_file_and_no_draft(tmp_path):
    path = tmp_path / "table.txt"
    write_text(path, "old")

    def fail(draft):
        draft.write_text("half of the n")
        raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError, match="disk is full"):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_folders_are_made(tmp_path):
    write_text(tmp_path / "a" / "b" / "text.txt", "é")
    assert (tmp_path / "a" / "b" / "text.txt").read_bytes() == "é".encode()


def test_numbers_of_numpy_become_json(tmp_path):
    write_json(tmp_path / "row.json", {"growth": np.float32(0.5)})
    assert json.loads((tmp_path / "row.json").read_text()) == {"growth": 0.5}


@pytest.mark.parametrize("compressed", [False, True])
def test_arrays_come_back(tmp_path, compressed):
    write_arrays(tmp_path / "days.npz", {"time": np.arange(3), "ruined": True}, compressed)
    with np.load(tmp_path / "days.npz") as stored:
        assert stored["time"].tolist() == [0, 1, 2]
        assert stored["ruined"]
