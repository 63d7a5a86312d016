"""Find the rows in a JSON answer of an exchange, and tell its refusals from empty answers."""

from collections.abc import Mapping
from typing import Any

_CODES, _GOOD = ("code", "retCode", "ret_code", "error_code"), ("0", "200", "00000", "000000", "200000")
_TEXTS = ("msg", "retMsg", "ret_msg", "message", "error")
_INSIDE = ("result", "data", "list", "rows")
_REFUSAL = {
    *_TEXTS,
    "success",
    "status",
    "statusCode",
    "timestamp",
    "path",
    "time",
}  # of servers and gateways
_ENVELOPE = {*_INSIDE, *_CODES, *_TEXTS, "time", "retExtInfo", "ext_info", "ext_code", "time_now"}
_ENVELOPE |= {"nextPageCursor", "category", "symbol", "total", "success"}


def rows_of_answer(values: Any, where: str) -> list[Any]:
    """Rows of an answer: a list, Bybit's ``result.list``, OKX's ``data``, pandas' columns, or one object alone.

    A list of answers (pages) gives the rows of all. An answer without rows, such as ``result: null``, has none.
    Symbol and category of an answer are those of its rows.

    Parameters
    ----------
    values : plain values of JSON
    where : str
        File, for messages.

    Raises
    ------
    ValueError
        With the code and the text of the exchange, where it refused; or for values that are no rows.
    """
    if isinstance(values, list):
        for one in values:
            if isinstance(one, Mapping) and set(one) <= {*_CODES, *_TEXTS, "data"}:
                _check_code(one, where)
        if values and all(isinstance(one, list) and _are_records(one) for one in values):
            return [row for one in values for row in one]  # pages
        pages = [
            one
            for one in values
            if isinstance(one, Mapping) and any(isinstance(one.get(n), list | Mapping) for n in _INSIDE)
        ]
        return (
            [row for page in pages for row in rows_of_answer(page, where)]
            if pages and len(pages) == len(values)
            else values
        )
    if not isinstance(values, Mapping):
        raise ValueError(f"{where} holds {values!r:.40}; it should hold a list of rows.")
    _check_code(values, where)
    if {"columns", "data"} <= values.keys() and all(isinstance(values[n], list) for n in ("columns", "data")):
        return [dict(zip(values["columns"], row, strict=False)) for row in values["data"]]  # to_json("split")
    for name in _INSIDE:
        if isinstance(values.get(name), list | Mapping):
            rows = rows_of_answer(values[name], where)
            shared = {
                name: values[name] for name in ("symbol", "category") if isinstance(values.get(name), str)
            }
            return [{**shared, **row} if isinstance(row, Mapping) else row for row in rows]
    if set(values) <= _ENVELOPE and {*_INSIDE, *_CODES, "nextPageCursor"} & set(values):
        return []  # nothing inside
    return _of_columns(values, where) or [dict(values)]


def symbols_of_answer(values: Any) -> set[str]:
    """Contracts that an answer, or pages of them, names next to its rows; rows that are lists do not name theirs."""
    if isinstance(values, list):
        return {name for page in values if isinstance(page, Mapping) for name in symbols_of_answer(page)}
    if not isinstance(values, Mapping):
        return set()
    inside = [values[name] for name in _INSIDE if isinstance(values.get(name), list | Mapping)]
    own = values.get("symbol")
    found = {own} if inside and isinstance(own, str) and own else set()
    return found.union(*(symbols_of_answer(one) for one in inside if isinstance(one, Mapping)))


def _are_records(values: list[Any]) -> bool:
    return all(isinstance(one, Mapping) for one in values)


def _check_code(values: Mapping[str, Any], where: str) -> None:
    code = next((values[name] for name in _CODES if name in values), None)
    text = next((values[name] for name in _TEXTS if values.get(name)), "")
    without_code = code is None and set(values) <= _REFUSAL and bool(text)
    if (code is not None and str(code) not in _GOOD) or without_code:
        raise ValueError(
            f"{where}: the exchange refused the request: {code if code is not None else ''} {text}".rstrip()
        )


def _of_columns(values: Mapping[str, Any], where: str) -> list[Any]:
    """Rows of ``DataFrame.to_json()``: columns of the same row names, or of lists of one length."""
    columns = list(values.values())
    if columns and all(isinstance(column, Mapping) for column in columns):
        names = list(columns[0])
        if all(list(column) == names for column in columns):
            return [{name: column[row] for name, column in values.items()} for row in names]
    if columns and all(isinstance(column, list) for column in columns):
        if len({len(column) for column in columns}) > 1:
            raise ValueError(f"{where}: its columns have different lengths.")
        return [dict(zip(values, row, strict=True)) for row in zip(*columns, strict=True)]
    return []
