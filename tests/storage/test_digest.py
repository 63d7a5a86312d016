import hashlib

import numpy as np
import pytest

from gearing.storage.digest import code_digest, digest, file_digest


def test_the_order_of_keys_does_not_matter_but_that_of_values_does():
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest([1, 2]) != digest([2, 1])


def test_values_side_by_side_are_not_values_in_one():
    assert digest("ab", "c") != digest("a", "bc")
    assert digest("ab", "c") != digest("abc")


def test_an_array_counts_with_its_values_wherever_they_lie_in_memory():
    whole = np.arange(6.0).reshape(2, 3)
    assert digest(whole.T) == digest(np.ascontiguousarray(whole.T))
    assert digest(whole) != digest(whole + 1e-12)


def test_a_digest_is_as_long_as_requested():
    assert len(digest("x")) == 16
    assert digest("x", length=64).startswith(digest("x", length=8))


def test_a_file_has_the_checksum_that_sha256sum_prints(tmp_path):
    (tmp_path / "bars").write_bytes(b"1,2,3\n")
    assert file_digest(tmp_path / "bars") == hashlib.sha256(b"1,2,3\n").hexdigest()


def test_the_digest_of_code_changes_with_any_python_file(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    found = []
    for k, text in enumerate(("x = 1\n", "x = 2\n")):
        folder = tmp_path / f"digested_package_{k}"
        (folder / "inner").mkdir(parents=True)
        (folder / "__init__.py").touch()
        (folder / "inner" / "module.py").write_text(text)
        (folder / "notes.txt").write_text(str(k))
        found.append(code_digest(folder.name))
    assert found[0] != found[1]
    with pytest.raises(ValueError, match="no package 'no_such_package'"):
        code_digest("no_such_package")
