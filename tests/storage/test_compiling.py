"""What a user reads while functions are compiled."""

import io
import sys
from types import SimpleNamespace

import pytest

from gearing.storage import compiling
from gearing.storage.compiling import Announcer


def of(module: str) -> SimpleNamespace:
    """What numba says of the compilation of a function of a module."""
    return SimpleNamespace(data={"dispatcher": SimpleNamespace(py_func=SimpleNamespace(__module__=module))})


@pytest.fixture
def clock(monkeypatch):
    """CPU seconds that pass by two with every look at the clock."""
    seconds = iter(range(0, 1000, 2))
    monkeypatch.setattr(compiling.time, "process_time", lambda: float(next(seconds)))


def test_one_line_says_that_gearing_compiles_with_a_dot_for_progress(clock):
    shown = io.StringIO()
    announcer = Announcer(shown)
    announcer.on_start(of("gearing.exchange.kernel"))
    announcer.on_start(of("gearing.exchange.rules"))
    announcer.on_end(of("gearing.exchange.rules"))
    announcer.on_end(of("gearing.exchange.kernel"))
    # Looks at the clock: begin 0, progress 2, 4, 6, 8, end 10; every progress is two seconds after the last.
    assert shown.getvalue().startswith("gearing compiles for this machine, once (cached in ")
    assert shown.getvalue().endswith(") .... 10 s\n")


def test_functions_of_others_are_compiled_without_a_word(clock):
    shown = io.StringIO()
    announcer = Announcer(shown)
    announcer.on_start(of("somebody.elses"))
    announcer.on_end(of("somebody.elses"))
    assert shown.getvalue() == ""


def test_nothing_is_printed_where_the_error_output_is_no_terminal(clock, capsys, monkeypatch):
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)  # which another test may have imported
    announcer = Announcer()
    announcer.on_start(of("gearing.exchange.kernel"))
    announcer.on_end(of("gearing.exchange.kernel"))
    assert capsys.readouterr() == ("", "")
