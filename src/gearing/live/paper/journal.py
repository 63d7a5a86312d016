"""The journal of a paper run: what the account consists of."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NAME = "journal.jsonl"


class Journal:
    """Lines of JSON in the order in which they happened; each is on disk before `append` returns."""

    def __init__(self, path: Path):
        self.path = path
        self.lines: list[dict[str, Any]] = []
        if path.exists():
            content = path.read_bytes()
            whole = content[: content.rfind(b"\n") + 1]
            self.lines = [json.loads(line) for line in whole.splitlines()]
            if len(whole) < len(content):
                os.truncate(path, len(whole))
        self._handle = path.open("ab", buffering=0)

    def append(self, line: Mapping[str, Any]) -> None:
        self._handle.write(json.dumps(line, allow_nan=False).encode() + b"\n")
        os.fsync(self._handle.fileno())
        self.lines.append(dict(line))

    def close(self) -> None:
        self._handle.close()
