import errno
import json
import os

import numpy as np
import pytest
from tests.kills.processes import die, forked

from gearing.storage.atomic import (
    draft_folder,
    set_aside,
    write_arrays,
    write_atomically,
    write_json,
    write_text,
)


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


def test_an_error_of_the_disk_names_the_file_that_was_to_be_written_and_no_draft(tmp_path):
    def fail(draft):
        raise OSError(errno.ENOSPC, "No space left on device")  # as a full disk does: without a file

    with pytest.raises(OSError) as full:
        write_atomically(tmp_path / "table.txt", fail)
    assert full.value.filename == str(tmp_path / "table.txt")

    def elsewhere(draft):
        (tmp_path / "nowhere" / "other.txt").read_text()

    with pytest.raises(OSError) as absent:
        write_atomically(tmp_path / "table.txt", elsewhere)
    assert str(absent.value.filename) == str(tmp_path / "nowhere" / "other.txt")


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


def test_drafts_of_killed_processes_go_with_the_next_write_and_those_of_living_ones_stay(tmp_path):
    path = tmp_path / "table.txt"

    def die_half_way():
        write_atomically(path, lambda draft: (draft.write_text("half"), die()))

    assert forked(die_half_way) == -9
    assert [one.name[:11] for one in tmp_path.iterdir()] == [".table.txt."]

    def look(draft):
        draft.write_text("whole")
        write_text(path, "another thread's")
        assert draft.exists()

    write_atomically(path, look)
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("table.txt", "whole")]


def test_two_writers_of_one_folder_have_a_draft_each_and_the_last_one_stays(tmp_path):
    final = tmp_path / "bundle"
    with draft_folder(final) as one, draft_folder(final) as two:
        assert one != two
        (one / "a").write_text("1")
        (two / "b").write_text("2")
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    assert [path.name for path in final.iterdir()] == ["a"]  # the outer block ends last


def test_a_folder_that_is_not_filled_leaves_the_old_one(tmp_path):
    final = tmp_path / "bundle"
    with draft_folder(final) as draft:
        (draft / "a").write_text("1")
    with pytest.raises(RuntimeError, match="no"), draft_folder(final):
        raise RuntimeError("no")
    assert [path.name for path in tmp_path.rglob("*")] == ["bundle", "a"]


def test_names_as_long_as_a_file_system_allows_have_drafts(tmp_path):
    for name in ("x" * 255, "漢" * 85):
        write_text(tmp_path / name, name)
        assert (tmp_path / name).read_text(encoding="utf-8") == name


def test_a_damaged_file_is_renamed_and_never_overwrites_an_earlier_one(tmp_path):
    for text in ("one", "two"):
        (tmp_path / "summary.json").write_text(text)
        set_aside(tmp_path / "summary.json")
    found = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert found == {"summary.json.damaged-1": "one", "summary.json.damaged-2": "two"}


def test_a_pipe_is_written_and_not_replaced_by_a_file(tmp_path):
    pipe = tmp_path / "pipe"  # stands for /dev/stdout and the like
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_text(pipe, "result")
    assert os.read(reader, 100) == b"result"
    os.close(reader)
    assert pipe.is_fifo()
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]
