"""Damaged inputs for hypothesis, and what must come of them: a result, or one message of the project's own.

A test of an entrance takes a valid document, lets one of the strategies here damage it, and gives it to
`expect_result_or_message` as a call or as the arguments of a command:

    @given(raw=mutated_json(ACCOUNT))
    @fuzz(inputs=200)
    def test_...(...): ...
"""

import contextlib
import copy
import dis
import io
import json
import math
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import yaml
from hypothesis import HealthCheck, settings, strategies as st

import gearing

PACKAGE = str(Path(gearing.__file__).parent)
DEEP: Any = []
for _ in range(60):
    DEEP = [DEEP]
# Values that readers trip over: absent, of another type, not finite, too large, of another unit, not plain text.
WILD_VALUES = (
    None, True, False, 0, -0.0, -1, 1, 1.5, 1e-12, 1e308, math.inf, -math.inf, math.nan, 10**18, -(10**30),
    1_700_000_000, 1_700_000_000_000, 1_700_000_000_000_000, 1_700_000_000_000_000_000,
    "", " ", "0", "-0", "nan", "NaT", "inf", "None", "null", "true", "1e400", "1.7E+12", "1,5", "1_000", "0x10",
    "2024-01-31", "31/01/2024", "2024-02-30T25:61", "2024-01-31T08:00:00+02:00", "24h", "-3d", "0h", "1e9d",
    "ü☃\u202e", "\u0000", "../../escape", "/", "a" * 3000, "x=y", "${oc.env:HOME}", "${missing}", "[", "{",
    [], {}, [[]], [None], [1, "a", None], {"": None}, {"a": {"b": []}}, [[1, 2], [3]], DEEP,
)  # fmt: skip
# What libraries say of what they cannot read. A user who meets one of these does not know what to mend.
LIBRARY_MESSAGES = (
    "Traceback (most recent", "Expecting value", "Expecting property name", "Extra data: line", "Unterminated string",
    "Invalid control character", "Invalid \\escape", "KeyError", "IndexError", "AttributeError", "RecursionError",
    "NoneType", "has no attribute", "object is not", "not subscriptable", "not iterable", "not callable",
    "unsupported operand", "unhashable type", "unexpected keyword argument", "missing 1 required",
    "positional argument",
    "not supported between", "index out of range", "out of bounds for axis", "must be real number",
    "could not convert string", "invalid literal for int", "cannot convert float", "Unable to parse string",
    "too many values to unpack", "not enough values to unpack", "truth value of", "operands could not be broadcast",
    "inhomogeneous shape", "Cannot convert non-finite", "validation error for", "Input should be",
    "errors.pydantic.dev",
    "valid dictionary or instance", "codec can't decode", "codec can't encode", "surrogates not allowed",
    "embedded null", "Error tokenizing", "No columns to parse", "Parquet magic bytes", "ArrowInvalid", "Arrow error",
    "pyarrow.", "Out of bounds nanosecond", "Out of bounds timestamp", "doesn't match format", "unconverted data",
    "does not match format", "Unknown datetime string", "time data", "year is out of range", "Length mismatch",
    "Usecols do not match", "Reindexing only valid", "cannot reindex", "not in index", "Columns must be same length",
    "If using all scalar values", "All arrays must be of the same length", "Mixing dicts", "Unsupported interpolation",
    "Interpolation key", "full_key:", "object_type=", "could not find expected", "while scanning", "while parsing",
    "mapping values are not allowed", "recursion depth", "File is not a zip", "Bad CRC", "pickled data",
    "Failed to interpret file", "<class '", " object at 0x", "[Errno", "this is a bug",
)  # fmt: skip


def fuzz(inputs: int) -> Callable[[Any], Any]:
    """Settings of a fuzz test: so many inputs, no deadline, functions given fixtures of a test allowed."""
    checks = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=inputs, deadline=None, suppress_health_check=checks, print_blob=True)


@dataclass(frozen=True)
class Refused:
    """The message that an input was refused with, and the exit code of a command."""

    message: str
    code: int = 2


def expect_result_or_message(call: Callable[[], Any] | Sequence[str], files: Sequence[Path] = ()) -> Any:
    """The result of a call or a command, or a `Refused` with a message that says what is wrong.

    Parameters
    ----------
    call : callable, or sequence of str
        A call without arguments; or the arguments of the ``gearing`` command, run in this process. A command's result
        is its output.
    files : sequence of Path
        Damaged files: a message must name one of them.

    Raises
    ------
    AssertionError
        If anything else came out: an exception that gearing did not raise itself, a library's message, a message that
        names none of the files, an unknown exit code.
    """
    outcome = _called(call) if callable(call) else _commanded(list(call))
    if isinstance(outcome, Refused):
        _check_message(outcome.message, files)
    return outcome


def _called(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except (ValueError, TypeError, OSError) as error:
        if not _raised_by_gearing(error):
            raise AssertionError(f"not gearing's own message: {type(error).__name__}: {error}") from error
        return Refused(str(error))


def _raised_by_gearing(error: BaseException) -> bool:
    """Whether a ``raise`` of gearing made the error, rather than a library or an operation that failed."""
    last = error.__traceback__
    assert last is not None
    while last.tb_next is not None:
        last = last.tb_next
    code = last.tb_frame.f_code
    return code.co_filename.startswith(PACKAGE) and code.co_code[last.tb_lasti] == dis.opmap["RAISE_VARARGS"]


def _commanded(arguments: list[str]) -> Any:
    code, out, err = run_command(arguments)
    assert code in (0, 1, 2), f"exit code {code}: {err}"
    assert "Traceback (most recent" not in out + err
    return Refused(err, code) if code == 2 else out


def run_command(arguments: Sequence[str]) -> tuple[int, str, str]:
    """Exit code, output and messages of the ``gearing`` command, run in this process."""
    from gearing.cli import main

    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", ["gearing", *arguments]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
            code: Any = 0
        except SystemExit as end:
            code = end.code
    return (0 if code is None else code), out.getvalue(), err.getvalue()


def _check_message(message: str, files: Sequence[Path]) -> None:
    assert message.strip(), "refused without a word"
    found = [text for text in LIBRARY_MESSAGES if text in message]
    assert not found, f"a library's message, {found[0]!r}: {message}"
    assert len(message) < 5000, f"a message of {len(message)} characters: {message[:300]} ..."
    if files:
        names = [file.name for file in files]
        assert any(name in message for name in names), f"names none of {', '.join(names)}: {message}"


def wild_values() -> st.SearchStrategy[Any]:
    """One of the values that readers trip over, or text and numbers of any kind."""
    more = st.one_of(
        st.text(max_size=8), st.integers(), st.floats(), st.sampled_from(["h", "d", "%", "USDT"])
    )
    return st.one_of(st.sampled_from(WILD_VALUES), st.sampled_from(WILD_VALUES), more)


@st.composite
def mutated(draw: Any, document: Any, changes: int = 3) -> Any:
    """A copy of plain values (mappings, lists, text, numbers) with one to ``changes`` places damaged."""
    made = {"": copy.deepcopy(document)}  # so that the document itself is a place, too
    for _ in range(draw(st.integers(1, changes))):
        owner, key = draw(st.sampled_from(list(_places(made))))
        change = draw(st.sampled_from([_retype, _retype, _delete, _double, _rename, _rescale, _wrap]))
        change(draw, owner, key)
    return made.get("")


def _places(owner: Any, depth: int = 0) -> Any:
    """Every (mapping or list, key) inside a document, but for what is nested too deeply to be meant."""
    for key in list(owner) if isinstance(owner, dict) else range(len(owner)):
        yield owner, key
        if isinstance(owner[key], dict | list) and depth < 12:
            yield from _places(owner[key], depth + 1)


def _retype(draw: Any, owner: Any, key: Any) -> None:
    owner[key] = copy.deepcopy(draw(wild_values()))


def _delete(draw: Any, owner: Any, key: Any) -> None:
    if key != "":
        del owner[key]


def _double(draw: Any, owner: Any, key: Any) -> None:
    if isinstance(owner, list):
        owner.insert(draw(st.integers(0, len(owner))), copy.deepcopy(owner[key]))
    elif key != "":
        owner[f"{key}2"] = copy.deepcopy(owner[key])


def _rename(draw: Any, owner: Any, key: Any) -> None:
    """A key to a near name; a text to a near text."""
    if isinstance(owner, dict) and isinstance(key, str) and key != "" and draw(st.booleans()):
        owner[near_name(draw, key)] = owner.pop(key)
    elif isinstance(owner[key], str):
        owner[key] = near_name(draw, owner[key])


def near_name(draw: Any, name: str) -> str:
    """A name as people mistype it."""
    at = draw(st.integers(0, max(len(name) - 1, 0)))
    return draw(
        st.sampled_from(
            [name[:at] + name[at + 1 :], name[:at] + "x" + name[at:], name.upper(), name.title(), f" {name} ",
             name.replace("_", "-"), name.replace("_", ""), name + "s", name[:at]]
        )
    )  # fmt: skip


def _rescale(draw: Any, owner: Any, key: Any) -> None:
    """A number in another unit, of another sign, or as text."""
    value = owner[key]
    if isinstance(value, int | float) and not isinstance(value, bool):
        scale = draw(st.sampled_from([-1, 1000, 0.001, 1_000_000, 100, 0.01]))
        owner[key] = draw(st.sampled_from([value * scale, str(value), f"{value}%", [value]]))
    elif isinstance(value, str):
        owner[key] = value[::-1]


def _wrap(draw: Any, owner: Any, key: Any) -> None:
    owner[key] = draw(st.sampled_from([[owner[key]], {"value": owner[key]}, {str(key): owner[key]}]))


@st.composite
def mutated_json(draw: Any, document: Any) -> bytes:
    """JSON of a damaged document, sometimes with damaged bytes, too."""
    text = json.dumps(draw(mutated(document)), indent=draw(st.sampled_from([None, 1])), ensure_ascii=False)
    if draw(st.integers(0, 9)) == 0:  # numbers that JSON can write and a float cannot hold; repeated keys
        text = re.sub(r"\d+\.?\d*", draw(st.sampled_from(["1e400", "-0", "1" * 400, "NaN"])), text, count=1)
    return draw(_maybe_damaged(text.encode("utf-8", "surrogatepass")))


@st.composite
def mutated_yaml(draw: Any, document: Any) -> bytes:
    """YAML of a damaged document, sometimes with damaged bytes, too."""
    text = yaml.safe_dump(draw(mutated(document)), sort_keys=False, allow_unicode=True)
    if draw(st.integers(0, 9)) == 0:
        text += draw(
            st.sampled_from(["a: *b\n", "- x\n", "\t- x\n", "? \n", "!!python/name:os.system\n", "&a [*a]\n"])
        )
    return draw(_maybe_damaged(text.encode("utf-8", "surrogatepass")))


@st.composite
def mutated_csv(draw: Any, text: str, changes: int = 3) -> bytes:
    """A table in text with damaged cells, rows, columns, headings, separators or bytes."""
    rows = [line.split(",") for line in text.strip().splitlines()]
    for _ in range(draw(st.integers(1, changes))):
        row, column = draw(st.integers(0, len(rows) - 1)), draw(st.integers(0, max(len(rows[0]) - 1, 0)))
        change = draw(
            st.sampled_from(
                ["cell", "cell", "heading", "drop row", "double row", "drop column", "swap", "short"]
            )
        )
        rows = _changed_table(draw, rows, row, column, change) or [[""]]
    separator = draw(st.sampled_from([",", ",", ",", ",", ";", "\t", "|"]))
    ending = draw(st.sampled_from(["\n", "\n", "\r\n", "\n\n"]))
    return draw(
        _maybe_damaged((ending.join(separator.join(row) for row in rows) + ending).encode("utf-8", "replace"))
    )


def _changed_table(draw: Any, rows: list[list[str]], row: int, column: int, change: str) -> list[list[str]]:
    made = [list(one) for one in rows]
    if change == "cell" and column < len(made[row]):
        made[row][column] = str(draw(wild_values()))
    elif change == "heading" and column < len(made[0]):
        made[0][column] = near_name(draw, made[0][column])
    elif change == "drop row":
        del made[row]
    elif change == "double row":
        made.insert(draw(st.integers(0, len(made))), list(made[row]))
    elif change == "drop column":
        made = [one[:column] + one[column + 1 :] for one in made]
    elif change == "swap":
        other = draw(st.integers(0, len(made) - 1))
        made[row], made[other] = made[other], made[row]
    elif change == "short":
        made[row] = made[row][:column]
    return made


@st.composite
def mutated_bytes(draw: Any, raw: bytes) -> bytes:
    """Bytes that were cut, changed, doubled or written in another encoding."""
    at = draw(st.integers(0, len(raw)))
    text = raw.decode("utf-8", "replace")
    return draw(
        st.sampled_from(
            [raw[:at], raw[:at] + b"\x00" + raw[at:], raw[:at] + b"\xff\xfe" + raw[at:], raw[at:], raw + raw,
             b"\xef\xbb\xbf" + raw, b"\n\n" + raw, raw[:at] + bytes(16) + raw[at + 16 :], raw[:at] + b"\xc3" + raw[at:],
             text.encode("utf-16"), text.encode("latin-1", "replace"), b"[" * 5000,
             b"", b" ", b"null", b"[]", b"{}", b"PK\x03\x04", b"PAR1"]
        )
    )  # fmt: skip


def _maybe_damaged(raw: bytes) -> st.SearchStrategy[bytes]:
    """The bytes themselves four times out of five."""
    return st.integers(0, 4).flatmap(lambda kind: mutated_bytes(raw) if kind == 0 else st.just(raw))


@st.composite
def mutated_arguments(draw: Any, arguments: Sequence[str], changes: int = 2) -> list[str]:
    """Arguments of a command: dropped, doubled, mistyped, moved, with other values."""
    made = list(arguments)
    for _ in range(draw(st.integers(1, changes))):
        at = draw(st.integers(0, max(len(made) - 1, 0)))
        change = draw(st.sampled_from(["drop", "double", "near", "value", "replace", "insert", "move"]))
        made = _changed_arguments(draw, made, at, change)
    return [text.replace("\x00", "") for text in made]  # no operating system passes on a zero byte


def _changed_arguments(draw: Any, given: list[str], at: int, change: str) -> list[str]:
    text = given[at] if given else ""
    odd = str(draw(wild_values()))[:200]
    changed = {
        "drop": [], "double": [text, text], "near": [near_name(draw, text)], "insert": [odd, text],
        "value": [f"{text.partition('=')[0]}={odd}"], "replace": [odd],
    }  # fmt: skip
    rest = [*given[:at], *given[at + 1 :]]
    if change == "move":
        return [*rest, text] if given else []
    return [*given[:at], *changed[change], *given[at + 1 :]]
