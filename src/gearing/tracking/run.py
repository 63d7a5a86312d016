"""A tracked run: its calls write to a journal and return at once."""

import re
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from gearing.tracking.journal import Journal, Record

_REFUSED = re.compile(r"[^\w.\-/ :]")  # what MLflow refuses in the name of a parameter, metric or tag
_LONGEST_NAME = 250
_LONGEST_PARAM = 6000


class Run:
    """One tracked run; made by `Tracker.run`, used as a context manager.

    Every call appends to a journal on disk and returns; sending happens in the background. Of a resumed run
    (same key), metrics at or before their last step in earlier sessions are not sent again.

    Names of parameters, metrics and tags are those given, with "_" for every character other than letters, digits,
    "_", "-", ".", "/", ":" and spaces: "ppo [0].sharpe" is recorded as "ppo _0_.sharpe". Where two names of one call
    become the same, the second ends in "_2".

    Attributes
    ----------
    name : str
        Display name.
    key : str
        Identifier; the same key is the same run, across processes and restarts.
    """

    def __init__(self, journal: Journal, name: str, key: str):
        self.name = name
        self.key = key
        self.journal = journal
        self._last_time = 0
        self._params: dict[str, str] = {}
        self.ended = False

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log settings; nested mappings become dotted names, None and empty ones are left out.

        A parameter keeps its first value."""
        flat = _recorded(_flatten(params))
        for name, value in flat.items():
            if self._params.setdefault(name, value) != value:
                raise ValueError(
                    f"run {self.name!r}: parameter {name!r} is {self._params[name]!r} and cannot become "
                    f"{value!r}. Log what changes over time as a metric or a tag."
                )
        self.append({"op": "params", "params": flat})

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log numbers at a step of the run; without one, as results of the run as a whole."""
        if metrics:
            at = None if step is None else int(step)
            values = {name: float(value) for name, value in _recorded(metrics).items()}
            self.append({"op": "metrics", "step": at, "metrics": values})

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set tags; a tag may change."""
        self.append({"op": "tags", "tags": {name: str(value) for name, value in _recorded(tags).items()}})

    def log_dataset(
        self, name: str, fingerprint: str, *, source: str = "", context: str = "training", **facts: Any
    ) -> None:
        """Log a data set that the run used.

        Parameters
        ----------
        name : str
            Display name, for example ``"BTCUSDT 1h"``.
        fingerprint : str
            Hash of the canonical values (`MarketData.fingerprint`).
        source : str
            Where the data came from, in words.
        context : str
            Use of the data: ``"training"``, ``"validation"``, ``"test"``.
        **facts
            Further facts (first and last bar, gaps filled); values become strings.
        """
        shown = {key: str(value) for key, value in facts.items()}
        data = {"name": name, "fingerprint": fingerprint, "source": source, "context": context}
        self.append({"op": "dataset", **data, "facts": shown})

    def log_artifact(self, path: str | Path, folder: str | None = None) -> None:
        """Log the present content of a file or folder."""
        path = _existing(path)
        self.append({"op": "artifact", "file": self.journal.copy(path, path.name), "folder": folder})

    def log_text(self, text: str, name: str) -> None:
        """Log a text as a file called ``name``, which may contain folders."""
        self._log_written(lambda place: place.write_text(text, encoding="utf-8"), name)

    def log_figure(self, figure: Any, name: str) -> None:
        """Log a matplotlib figure (``.png``, ``.svg``) or a plotly figure (``.html``) as ``name``."""
        if hasattr(figure, "savefig"):
            self._log_written(lambda place: figure.savefig(place, bbox_inches="tight"), name)
        elif hasattr(figure, "write_html"):
            self._log_written(lambda place: figure.write_html(place, include_plotlyjs="cdn"), name)
        else:
            raise TypeError(f"log_figure takes a matplotlib or plotly figure, not {type(figure).__name__}.")

    def _log_written(self, write: Callable[[Path], Any], name: str) -> None:
        folder = Path(name).parent.as_posix()
        with tempfile.TemporaryDirectory() as draft:
            place = Path(draft) / Path(name).name
            write(place)
            self.log_artifact(place, None if folder == "." else folder)

    def log_model(
        self,
        onnx: str | Path,
        name: str = "policy",
        *,
        extra_files: str | Path | None = None,
        register_as: str | None = None,
        aliases: Iterable[str] = (),
        example: Mapping[str, float] | None = None,
        tags: Mapping[str, Any] | None = None,
        description: str = "",
    ) -> None:
        """Log an ONNX file as an MLflow model that anyone can load and serve with onnxruntime alone.

        The model is a short program (``onnx_model.py``) and the ONNX file; nothing is pickled.

        Parameters
        ----------
        onnx : path
            The network, self-contained (no external data).
        name : str
            Name of the model within the run.
        extra_files : path, optional
            A folder logged with the model, for example the bundle the file is part of.
        register_as : str, optional
            Also make it a version of this model in the registry.
        aliases : iterable of str
            Aliases of this version, for example ``["challenger"]``.
        example : mapping of column to number, optional
            A row of the network's input in the order of its columns: the model's input example, from which its
            signature comes.
        tags : mapping, optional
            Of the version.
        description : str
            Of the version, Markdown.
        """
        onnx = _existing(onnx)
        if list(aliases) and register_as is None:
            raise ValueError(
                f"aliases {list(aliases)} need register_as: an alias belongs to a registered model."
            )
        record: Record = {"op": "model", "name": name, "file": self.journal.copy(onnx, onnx.name)}
        if extra_files is not None:
            extra_files = _existing(extra_files)
            record["extra_files"] = self.journal.copy(extra_files, extra_files.name)
        if example is not None:
            record["example"] = {column: float(value) for column, value in example.items()}
        record["version_tags"] = {tag: str(value) for tag, value in _recorded(tags or {}).items()}
        self.append(
            {**record, "register_as": register_as, "aliases": list(aliases), "description": description}
        )

    def append(self, record: Record) -> None:
        """Write a record to the journal, with its time; the record of the end is the last one."""
        if self.ended:
            raise RuntimeError(f"run {self.name!r} has ended; log inside its `with` block.")
        self.ended = record["op"] == "end"
        self.journal.append({**record, "time": self._now()})

    def _now(self) -> int:
        """Milliseconds since 1970, strictly increasing, so that records are distinct."""
        self._last_time = max(self._last_time + 1, time.time_ns() // 1_000_000)
        return self._last_time


def _flatten(params: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in params.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{name}.")
        elif value is not None and value != [] and value != ():
            text = _listed(value)
            short = len(text) <= _LONGEST_PARAM
            flat[f"{prefix}{name}"] = text if short else text[: _LONGEST_PARAM - 4] + " ..."
    return flat


def _listed(value: Any) -> str:
    """The text of a value; of a list of texts, "a, b"."""
    texts = isinstance(value, (list, tuple)) and all(isinstance(one, str) for one in value)
    return ", ".join(value) if texts else str(value)


def _recorded(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values under names that MLflow accepts; see `Run`."""
    found: dict[str, Any] = {}
    for given, value in values.items():
        name = plain = _REFUSED.sub("_", given)
        number = 1
        while name in found:
            number += 1
            name = f"{plain}_{number}"
        if not name or len(name) > _LONGEST_NAME:
            raise ValueError(
                f"{given!r} cannot name a parameter, metric or tag: a name has 1 to {_LONGEST_NAME} characters."
            )
        found[name] = value
    return found


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist, so it cannot be logged.")
    return path
