"""Answers of the venues' interfaces: the records inside, and the venue's own errors."""

from collections.abc import Mapping
from typing import Any

from gearing.storage.text import parse_json

_LISTS = ("result", "data", "list", "rows")


def read_answer(text: str, where: str) -> Any:
    """JSON with numbers as texts, because their printed digits count: one value, or one object on each line.

    Raises
    ------
    ValueError
        Naming the file and the line.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > 1 and all(line.strip()[0] == "{" and line.strip()[-1] == "}" for line in lines):
        return [parse_json(line, f"{where}, line {n}", numbers=str) for n, line in enumerate(lines, start=1)]
    return parse_json(text, where, numbers=str)


def unwrap(content: Any, origin: str = "statement") -> list[Any]:
    """The records of an answer: Bybit's ``result.list``, OKX's ``data``, a list, or a list of answers (pages).

    Raises
    ------
    ValueError
        With the venue's text, where it answered with an error.
    """
    if isinstance(content, dict):
        refuse_error(content, origin)
        for key in _LISTS:
            if isinstance(content.get(key), dict | list):
                shared = {"category": content["category"]} if isinstance(content.get("category"), str) else {}
                return [
                    {**shared, **record} if isinstance(record, dict) else record
                    for record in unwrap(content[key], origin)
                ]
        return [content]
    if isinstance(content, list):
        pages = [
            isinstance(one, dict) and any(isinstance(one.get(key), dict | list) for key in _LISTS)
            for one in content
        ]
        if content and all(pages):
            return [record for page in content for record in unwrap(page, origin)]
        return content
    raise ValueError(f"{origin}: it holds {content!r}, no records; give the file as the venue returns it.")


def refuse_error(answer: Mapping[str, Any], origin: str) -> None:
    """Refuse a venue's error: Bybit's ``retCode``, the ``code`` of OKX and Binance."""
    for code, text in (("retCode", "retMsg"), ("code", "msg"), ("ret_code", "ret_msg")):
        found = str(answer.get(code, "0"))
        if code in answer and text in answer and found not in ("0", "200", "00000"):
            raise ValueError(
                f"{origin}: this is no statement but the venue's error {found}: {answer[text] or 'no text'}. "
                "Fetch it again."
            )
