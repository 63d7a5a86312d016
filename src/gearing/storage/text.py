"""Read text and JSON: always UTF-8, with errors that name the file and the place in it.

Every text that comes from outside or from an earlier run is read here: tables, statements, accounts, experiments,
manifests, journals. Standard library only: an exported policy reads its manifest here.
"""

import codecs
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

LINE = "line"  # name of the index of a table that holds the line of each row in its file
_ENCODINGS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_KINDS = {
    dict: "an object {...}",
    list: "a list [...]",
    str: "a text",
    bool: "true or false",
    type(None): "null",
}


def read_bytes(path: Path) -> bytes:
    """Content of a file.

    Raises
    ------
    ValueError
        Naming the file, where it is missing, a folder, or not readable.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such file.") from None
    except IsADirectoryError:
        raise ValueError(f"{path} is a folder; give a file.") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}.") from None
    except ValueError:
        raise ValueError(f"{str(path)!r} cannot be read: no path holds a zero byte.") from None


def read_text(path: Path) -> str:
    """Text of a file in UTF-8, with or without a byte order mark, or in UTF-16 with one.

    Raises
    ------
    ValueError
        Naming the file, and the first byte that is not UTF-8.
    """
    return decoded(read_bytes(path), str(path))


def decoded(content: bytes, where: str) -> str:
    """Text of bytes, as :func:`read_text` reads it; ``where`` begins the message."""
    mark, encoding = next(
        ((mark, name) for mark, name in _ENCODINGS if content.startswith(mark)), (b"", "utf-8")
    )
    try:
        return content[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        place = len(mark) + error.start
        line = content[:place].count(b"\n") + 1
        raise ValueError(
            f"{where}, line {line}: byte {content[place]:#04x} at position {place} is not {encoding.upper()}; "
            "save the file as UTF-8."
        ) from None


def read_json(path: Path, kind: type | None = None, **options: Any) -> Any:
    """Values of a JSON file; ``options`` are those of :func:`parse_json`.

    Raises
    ------
    ValueError
        Naming the file, line and column, where it is not JSON or of another kind.
    """
    return parse_json(read_text(path), str(path), kind, **options)


def parse_json(
    text: str,
    where: str,
    kind: type | None = None,
    allow_nan: bool = False,
    numbers: Callable[[str], Any] | None = None,
) -> Any:
    """Values of a JSON text.

    Parameters
    ----------
    text : str
    where : str
        File it came from; begins messages.
    kind : type, optional
        ``dict`` or ``list``: what the text has to hold.
    allow_nan : bool
        Accept NaN and Infinity, which are not JSON but which Python writes.
    numbers : callable, optional
        Makes a number of its text; ``str`` keeps its digits.

    Raises
    ------
    ValueError
        For text that is not JSON, a key that an object holds twice, or values of another kind.
    """
    if not text.strip():
        raise ValueError(f"{where} is empty; it should hold JSON.")

    def constant(name: str) -> float:
        if not allow_nan:
            raise ValueError(f"{name} is not a number")
        return float(name)

    try:
        found = json.loads(
            text,
            object_pairs_hook=_each_once,
            parse_constant=constant,
            parse_float=numbers,
            parse_int=numbers,
        )
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{where}, line {error.lineno}, column {error.colno}: this is not JSON ({error.msg.lower()})."
        ) from None
    except RecursionError:
        raise ValueError(f"{where}: its lists and objects are nested too deeply to be read.") from None
    except ValueError as error:
        if "set_int_max_str_digits" in str(error):  # Python's limit of digits
            raise ValueError(f"{where}: a whole number in it has more than 4,300 digits.") from None
        raise ValueError(f"{where}: {error}.") from None
    if kind is not None and not isinstance(found, kind):
        raise ValueError(f"{where} holds {kind_of(found)}; it should hold {_KINDS[kind]}.")
    return found


def kind_of(value: Any) -> str:
    """What a JSON value is, in words."""
    return _KINDS.get(type(value), f"the number {value}")


def row_name(values: Any, row: int) -> str:
    """A row for a message: its line in the file, where the index of the Series or DataFrame holds lines."""
    index: Any = getattr(values, "index", None)
    return f"line {index[row]}" if getattr(index, "name", None) == LINE else f"row {row}"


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} stands twice in one object; keep one of them")
    return found
