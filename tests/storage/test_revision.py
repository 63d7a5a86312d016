"""The revision of gearing's source."""

import subprocess
from pathlib import Path

import pytest

from gearing.storage import revision


def test_a_checkout_has_gits_revision():
    git = ["git", "-C", str(Path(revision.__file__).parent), "rev-parse", "HEAD"]
    found = subprocess.run(git, capture_output=True, text=True, check=False)
    if found.returncode:
        pytest.skip("gearing does not run from a checkout here")
    assert revision.source_revision.__wrapped__().removesuffix("-dirty") == found.stdout.strip()


def test_an_installed_package_has_no_revision(monkeypatch, tmp_path):
    monkeypatch.setattr(revision, "__file__", str(tmp_path / "revision.py"))
    assert revision.source_revision.__wrapped__() is None
