"""`gearing promote`: a challenger is promoted with evidence, refused without, and listed."""

import pytest
from tests.tracking.conftest import empty_database, uri
from tests.tracking.test_registry import aliases, register
from typer.testing import CliRunner

from gearing.cli import app

__all__ = ["empty_database", "register", "uri"]


def run(*arguments):
    return CliRunner().invoke(app, ["promote", *arguments])


def test_a_better_challenger_is_promoted_and_a_worse_one_ends_with_exit_code_1(uri, register):
    register(1, gain=0.001)
    listed = run("--uri", uri)
    assert listed.exit_code == 0, listed.output
    assert "better" in listed.output
    assert aliases(uri) == {"challenger": "1"}
    assert "btc version 1 is champion now" in run("btc", "--uri", uri).output
    register(2, gain=0.0)
    worse = run("btc", "--uri", uri)
    assert worse.exit_code == 1
    assert "stays challenger" in worse.output
    register(3, gain=0.1, code="other")
    assert "btc: btc: the evidence" not in run("--uri", uri).output
    assert "not from the same code" in run("--uri", uri).output


def test_what_is_not_registered_is_refused_with_what_to_do(uri):
    with pytest.raises(ValueError, match="there is no registered model 'nothing'"):
        raise run("nothing", "--uri", uri).exception
    assert "a study with `export: AGENT` registers one" in run("--uri", uri).output
