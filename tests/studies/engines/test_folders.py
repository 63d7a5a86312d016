"""Temporary folders of living processes stay, those of killed ones are removed."""

import os
import tempfile

from tests.kills.processes import die, forked

from gearing.studies.engines.folders import temporary_folder


def test_the_folder_of_a_killed_process_is_removed_by_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def leave():
        (temporary_folder() / "0.packed").write_bytes(b"x")
        die()

    assert forked(leave) == -9
    (left,) = tmp_path.iterdir()
    (tmp_path / "gearing-run-x").mkdir()  # not named by a process
    mine = temporary_folder()
    assert mine.name.startswith(f"gearing-run-{os.getpid()}-")
    assert not left.exists()
    again = temporary_folder()
    assert {path.name for path in tmp_path.iterdir()} == {mine.name, again.name, "gearing-run-x"}
