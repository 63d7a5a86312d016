"""Compiled code finds a folder where neither the package nor the user's cache can be written."""

import os
import stat

import pytest

from gearing.storage.numba_cache import ensure_numba_cache, is_writable, private_folder


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A path below a file: no folder can be made there, not even by root."""
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(file / "cache"))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(file / "numba"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return file / "package"


def test_a_private_folder_is_taken_with_a_message_where_nothing_can_be_written(nowhere, tmp_path):
    with pytest.warns(UserWarning, match=r"compiled code is cached in .*NUMBA_CACHE_DIR"):
        ensure_numba_cache(nowhere)
    folder = os.environ["NUMBA_CACHE_DIR"]
    assert folder.startswith(f"{tmp_path}/gearing-numba-")
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700


def test_nothing_changes_where_one_of_the_usual_folders_can_be_written(nowhere, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "not" / "made" / "yet"))
    before = os.environ["NUMBA_CACHE_DIR"]
    ensure_numba_cache(nowhere)
    assert os.environ["NUMBA_CACHE_DIR"] == before


def test_a_folder_that_others_can_write_is_not_used(tmp_path):
    first = private_folder(str(tmp_path))
    assert private_folder(str(tmp_path)) == first
    first.chmod(0o777)  # compiled code is run: anybody could put some there
    assert private_folder(str(tmp_path)) != first


def test_a_folder_below_a_file_is_not_writable(nowhere, tmp_path):
    assert not is_writable(nowhere)
    assert is_writable(tmp_path / "a" / "b")
