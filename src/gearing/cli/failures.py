"""What a command that fails prints, and the code that it exits with: decided here for all commands.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | done, and the result is negative: numbers differ, an unusable file, a failed download or trial, records not sent |
| 2 | the input is wrong, or a file cannot be read or written; the message says which |
| 3 | a fault in gearing; ``--debug`` prints its traceback |
| 4 | ``gearing watch``: critical, such as near liquidation |
| 130 | stopped by Ctrl-C; the message says how to go on |
"""

from __future__ import annotations

import errno
import re
import shlex
from collections.abc import Sequence
from typing import Any

from gearing.plugins import PACKAGE, frames, users_frame

WRONG_INPUT, FAULT, STOPPED = 2, 3, 130

_EXTRAS = {
    "forecast": "sklearn lightgbm arch", "train": "torch stable_baselines3 sb3_contrib", "track": "mlflow",
    "export": "onnx onnxscript", "runtime": "onnxruntime", "sign": "cryptography", "plots": "matplotlib jinja2",
    "data": "httpx ccxt", "search": "optuna", "serve": "fastapi uvicorn prometheus_client starlette", "cluster": "ray",
}  # fmt: skip
_ELSEWHERE = "Choose another place, or change its permissions."
_SYSTEM = {
    errno.ENOENT: "does not exist.",
    errno.ENOTDIR: "does not exist: a part of the path is a file, where a folder is needed.",
    errno.EISDIR: "is a folder, where a file is needed.",
    errno.EEXIST: "exists already, and is no folder. Choose another name.",
    errno.ENOTEMPTY: "is a folder that is not empty. Choose another name.",
    errno.EACCES: f"may not be read or written: permission denied. {_ELSEWHERE}",
    errno.EPERM: f"may not be changed: the operation is not permitted. {_ELSEWHERE}",
    errno.EROFS: "is on a read-only file system. Choose another place.",
    errno.ENOSPC: "cannot be written: the disk is full. Free some space and run the command again.",
    errno.EDQUOT: "cannot be written: your disk quota is used up. Free some space and run the command again.",
    errno.EFBIG: "cannot be written: the file would be larger than the system allows.",
    errno.EIO: "cannot be read or written: the disk reports an error.",
    errno.ENAMETOOLONG: "has a name that is too long for this file system. Choose a shorter one.",
    errno.EMFILE: "cannot be opened: too many files are open. Raise the limit (ulimit -n), or use fewer jobs.",
    errno.ETXTBSY: "is in use by another process.",
}
# What is left of a command that was stopped.
_LEFT = {
    "study": "Finished trials are stored and trainings continue from their checkpoints",
    "forecast": "Finished parts are stored",
    "fetch": "Complete files are stored and not fetched again",
    "backtest": "Nothing was written",
}


def explained(error: BaseException) -> tuple[int, str]:
    """Exit code and message of an error."""
    if hasattr(error, "format_message"):  # of typer: a missing argument, an unknown option
        return WRONG_INPUT, _of_the_command_line(error)
    if isinstance(error, ModuleNotFoundError) and (extra := _extra_of(error)):
        return WRONG_INPUT, f'{error}. Install it with: pip install "gearing[{extra}]"'
    if isinstance(error, OSError) and not _is_own(error):
        return WRONG_INPUT, _of_the_system(error)
    if isinstance(error, MemoryError):
        return (
            WRONG_INPUT,
            "the memory is full. Use a shorter period, fewer contracts or accounts, or fewer jobs.",
        )
    if type(error).__name__ in ("TerminatedWorkerError", "BrokenProcessPool"):
        return (
            WRONG_INPUT,
            "a worker process was killed, perhaps for lack of memory. Use fewer jobs, as in jobs=1.",
        )
    if _is_own(error):
        return WRONG_INPUT, str(error)
    what, place = f"{type(error).__name__}: {_one_line(error)}", users_frame(error)
    if place is not None:
        return WRONG_INPUT, f"{place.file}, line {place.number}, in {place.function}: {what}"
    return (
        FAULT,
        f"{what} This is a bug in gearing. Run the command with --debug for the traceback, and report it.",
    )


def how_to_go_on(arguments: Sequence[str]) -> str:
    """What a command that was stopped leaves, and the command that continues it."""
    left = next((text for name, text in _LEFT.items() if name in arguments), None)
    command = shlex.join(["gearing", *arguments])
    return f"stopped. {left}. To go on: {command}" if left else f"stopped. To run it again: {command}"


def _is_own(error: BaseException) -> bool:
    """Whether a ``raise`` of gearing made the error: then its message is for the user."""
    last = frames(error)[-1:]
    return any(frame.file.startswith(PACKAGE) and frame.line.startswith("raise") for frame in last)


def _of_the_system(error: OSError) -> str:
    """File, reason and advice of an error of the operating system; libraries write its number into their text."""
    text = _one_line(error)
    named = re.search(r"\[errno (\d+)\]", text, re.IGNORECASE)
    number = error.errno if error.errno is not None else int(named[1]) if named else None
    name = error.filename2 or error.filename
    if number not in _SYSTEM:
        reason = error.strerror or text
        return f"{name}: {reason}" if name and str(name) not in reason else reason
    return f"{name if name is not None else 'a file'} {_SYSTEM[number]}"


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _of_the_command_line(error: Any) -> str:
    """A missing argument, an unknown option or command; where settings are given without dashes, it says so."""
    text, context = error.format_message().rstrip("."), getattr(error, "ctx", None)
    text = text if text.endswith(("?", ")")) else f"{text}."
    if context is None:
        return text
    option = getattr(error, "option_name", None)
    if option and any(parameter.name == "settings" for parameter in context.command.params):
        text += " Settings are written without dashes, KEY=VALUE."
    return f"{text} See {context.command_path} --help."


def _extra_of(error: ModuleNotFoundError) -> str | None:
    """The optional part of gearing that a missing library belongs to."""
    library = (error.name or "").partition(".")[0]
    return next((name for name, libraries in _EXTRAS.items() if library in libraries.split()), None)
