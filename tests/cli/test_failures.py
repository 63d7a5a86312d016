"""Every failure is one message that says what to do, and has its exit code."""

import errno
from types import SimpleNamespace

import pytest
from tests.fuzz.mutations import run_command

from gearing.cli import app, run
from gearing.cli.failures import FAULT, STOPPED, WRONG_INPUT, explained
from gearing.plugins import load_object


def raised(make):
    """The error of a call, with its traceback."""
    try:
        make()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (
            errno.ENOSPC,
            "out.json cannot be written: the disk is full. Free some space and run the command again.",
        ),
        (errno.EROFS, "out.json is on a read-only file system. Choose another place."),
        (errno.EACCES, "out.json may not be read or written: permission denied."),
        (errno.EISDIR, "out.json is a folder, where a file is needed."),
        (errno.ENOENT, "out.json does not exist."),
        (errno.ENOTDIR, "out.json does not exist: a part of the path is a file"),
        (errno.ENAMETOOLONG, "out.json has a name that is too long"),
    ],
)
def test_an_error_of_the_system_names_the_file_and_what_to_do(number, message):
    code, text = explained(OSError(number, "as the system says it", "out.json"))
    assert code == WRONG_INPUT
    assert text.startswith(message)


def test_a_library_that_writes_the_systems_number_into_its_text_is_understood():
    text = "[Errno 28] Error writing bytes to file. Detail: [errno 28] No space left on device"
    assert explained(OSError(text))[1] == (
        "a file cannot be written: the disk is full. Free some space and run the command again."
    )


@pytest.mark.parametrize(
    "make",
    [lambda: {}["key"], lambda: None + 1, lambda: int("x"), lambda: [].pop(), lambda: b"\xff".decode()],
)
def test_what_nobody_foresaw_is_a_fault_of_gearing_and_says_how_to_see_more(make, monkeypatch):
    monkeypatch.setattr("gearing.cli.failures.users_frame", lambda error: None)  # the test is nobody's plugin
    code, text = explained(raised(make))
    assert code == FAULT
    assert "This is a bug in gearing. Run the command with --debug" in text
    assert "\n" not in text


def test_what_gearing_raises_itself_is_said_as_it_is():
    from gearing.names import check_names

    assert explained(raised(lambda: check_names("no field", ["a"], ["b"]))) == (
        WRONG_INPUT, "no field 'a'. Known: b."
    )  # fmt: skip


def test_a_missing_library_names_the_part_of_gearing_that_needs_it():
    error = ModuleNotFoundError("No module named 'mlflow'", name="mlflow.tracking")
    assert explained(error)[1] == "No module named 'mlflow'. Install it with: pip install \"gearing[track]\""


def test_full_memory_is_no_fault_and_has_an_advice():
    assert explained(MemoryError()) == (
        WRONG_INPUT, "the memory is full. Use a shorter period, fewer contracts or accounts, or fewer jobs."
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["study", "my file.yaml", "seeds=1"], "To go on: gearing study 'my file.yaml' seeds=1"),
        (["data", "fetch", "BTCUSDT"], "To go on: gearing data fetch BTCUSDT"),
        (["backtest", "fixed_3x"], "Nothing was written. To go on: gearing backtest fixed_3x"),
        (["data", "check"], "stopped. To run it again: gearing data check"),
    ],
)
def test_ctrl_c_says_how_to_go_on(arguments, line, monkeypatch, capsys):
    def stop(*args, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr(type(app), "__call__", stop)
    assert run(arguments) == STOPPED
    assert line in capsys.readouterr().err


def test_debug_prints_the_traceback_wherever_it_stands():
    for arguments in (["--debug", "show", "nope.yaml"], ["show", "nope.yaml", "--debug"]):
        code, _, messages = run_command(arguments)
        assert code == WRONG_INPUT
        assert "Traceback" in messages
        assert messages.endswith("error: there is no experiment file nope.yaml.\n")
    assert "Traceback" not in run_command(["show", "nope.yaml"])[2]


@pytest.mark.parametrize(("undelivered", "code"), [(None, 0), ("3 records have not reached the tracker", 1)])
def test_an_experiment_whose_records_did_not_arrive_prints_its_results_and_exits_with_1(
    tmp_path, monkeypatch, capsys, undelivered, code
):
    path = tmp_path / "x.yaml"
    path.write_text("rules: [fixed_3x]\n", encoding="utf-8")
    done = SimpleNamespace(summary="a table", warning=None, undelivered=undelivered, as_dict=dict)
    monkeypatch.setattr("gearing.studies.runner.run_study", lambda *given, **settings: done)
    assert run(["study", str(path)]) == code
    printed = capsys.readouterr()
    assert "a table" in printed.out
    assert (undelivered or "") in printed.err


def test_sys_exit_in_a_users_code_is_a_failure_with_file_and_line(tmp_path, monkeypatch, capsys):
    code = tmp_path / "leaving.py"
    code.write_text("import sys\n\ndef leave(*args, **settings):\n    sys.exit(0)\n", encoding="utf-8")
    leave = load_object(f"{code}:leave")
    monkeypatch.setattr("gearing.studies.load_config", leave)
    assert run(["study", "x.yaml"]) == WRONG_INPUT
    assert f"error: {code}, line 4, in leave: SystemExit: 0." in capsys.readouterr().err
