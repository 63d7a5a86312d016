import subprocess
import sys

from gearing.exchange import marking
from gearing.exchange.marking import compile_with, hot, rule

WITHOUT_NUMBA = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("numba", "llvmlite"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import gearing.exchange.kernel, gearing.exchange.observing
from gearing.exchange.rules import notional
assert notional(-2.0, 50.0, False) == 100.0
"""


def test_the_rules_of_the_exchange_run_where_no_compiler_is_installed():
    done = subprocess.run([sys.executable, "-c", WITHOUT_NUMBA], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_compiler_gets_the_functions_marked_before_and_after_it_came(monkeypatch):
    monkeypatch.setattr(marking, "_waiting", [])
    monkeypatch.setattr(marking, "_compilers", [])
    given = []

    @rule
    def one():
        return 1

    compile_with(lambda function, is_hot: given.append((function, is_hot)))

    @hot
    def two():
        return 2

    assert given == [(one, False), (two, True)]
    assert one() + two() == 3
