"""The folder of compiled code: private, named by the compiled sources, and found wherever something can be written."""

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gearing.storage.numba_cache import ensure_numba_cache, is_writable, private_folder, sources_digest


@pytest.fixture
def package(tmp_path):
    """A package with a compiled function, one that it calls, and a file without either."""
    folder = tmp_path / "package"
    (folder / "exchange").mkdir(parents=True)
    (folder / "loop.py").write_text("from numba import njit\n")
    (folder / "exchange" / "rules.py").write_text("FEE = 1\n")
    (folder / "report.py").write_text("TITLE = 1\n")
    return folder


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A path below a file: no folder can be made there, not even by root."""
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(file / "cache"))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(file / "numba"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return file / "package"


def test_the_folder_is_private_and_below_the_one_that_the_variable_names(package, tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "mine"))
    folder = ensure_numba_cache(package)
    assert folder == tmp_path / "mine" / f"gearing-{sources_digest(package)}"
    assert os.environ["NUMBA_CACHE_DIR"] == str(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_without_the_variable_the_folder_is_in_the_users_cache(package, tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert ensure_numba_cache(package) == tmp_path / "cache" / "gearing" / f"numba-{sources_digest(package)}"


def test_a_worker_process_uses_the_folder_of_its_parent(package, tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "mine"))
    assert ensure_numba_cache(package) == ensure_numba_cache(package)


@pytest.mark.parametrize(("file", "replaced"), [("exchange/rules.py", True), ("report.py", False)])
def test_an_edit_of_what_compiled_code_calls_takes_a_new_folder(package, file, replaced):
    before = sources_digest(package)
    (package / file).write_text("CHANGED = 2\n")
    assert (sources_digest(package) != before) == replaced


def test_folders_of_old_sources_are_removed_after_a_month_without_use(package, tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "mine"))
    old = ensure_numba_cache(package)
    (package / "loop.py").write_text("from numba import njit  # edited\n")
    # The variable names the old folder now, as in a worker process.
    assert ensure_numba_cache(package) != old
    assert old.exists()
    os.utime(old, (time.time() - 31 * 86_400,) * 2)
    (package / "loop.py").write_text("from numba import njit  # edited again\n")
    ensure_numba_cache(package)
    assert not old.exists()


def test_compiled_code_follows_an_edit_of_a_function_that_it_calls(tmp_path):
    """Numba alone would return 1 in the second process: the file of ``loop`` has not changed."""
    root = Path(__file__).resolve().parents[2]
    folder = tmp_path / "gearing_copy"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from pathlib import Path\nfrom gearing.storage.numba_cache import ensure_numba_cache\n"
        "ensure_numba_cache(Path(__file__).parent)\n"
    )
    (folder / "loop.py").write_text(
        "from numba import njit\nfrom gearing_copy.callee import value\n"
        "@njit(cache=True)\ndef loop():\n    return value()\n"
    )
    environment = {
        **os.environ, "PYTHONPATH": f"{root / 'src'}:{tmp_path}", "NUMBA_CACHE_DIR": str(tmp_path / "numba"),
        "NUMBA_DISABLE_JIT": "0",
    }  # fmt: skip
    command = [sys.executable, "-c", "from gearing_copy.loop import loop; print(loop())"]
    for number in (1, 2):
        (folder / "callee.py").write_text(
            f"from numba import njit\n@njit(cache=True)\ndef value():\n    return {number}\n"
        )
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == str(number)


def test_a_private_folder_is_taken_with_a_message_where_nothing_can_be_written(nowhere, tmp_path):
    with pytest.warns(UserWarning, match=r"compiled code is cached in .*NUMBA_CACHE_DIR"):
        folder = ensure_numba_cache(nowhere)
    assert os.environ["NUMBA_CACHE_DIR"] == str(folder)
    assert str(folder).startswith(f"{tmp_path}/gearing-numba-")
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700


def test_a_folder_that_others_can_write_is_not_used(tmp_path):
    first = private_folder(str(tmp_path))
    assert private_folder(str(tmp_path)) == first
    first.chmod(0o777)  # compiled code is run: anybody could put some there
    assert private_folder(str(tmp_path)) != first


def test_a_folder_below_a_file_is_not_writable(nowhere, tmp_path):
    assert not is_writable(nowhere)
    assert is_writable(tmp_path / "a" / "b")
