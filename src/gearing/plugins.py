"""A user's own code: modules that register rules, controls, features, rewards or forecasters, and policies by name.

A plugin is named as Python imports it, ``my_package.rewards``, or by its file, ``my_rewards.py``; modules are looked up
in the current folder, too. An experiment lists its plugins under ``plugins``, so that every process that runs a part of
it imports them, and their code counts among the code that made a result.
"""

import ast
import os
import pickle
import re
import sys
import sysconfig
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.pool import ExceptionWithTraceback  # type: ignore[attr-defined]  # absent from the stubs
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from gearing.names import did_you_mean
from gearing.storage.digest import code_digest, digest, file_digest

PACKAGE = str(Path(__file__).parent) + os.sep
_LIBRARIES = tuple(
    {sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")}
)
_REMOTE_FRAME = re.compile(
    r'File "(.+?)", line (\d+), in (\S+)(?:\n    (.*))?'
)  # as worker processes report it


class Frame(NamedTuple):
    """A place in the traceback of an error."""

    file: str
    number: int  # of the line
    function: str
    line: str


def frames(error: BaseException) -> list[Frame]:
    """Places of an error's traceback, the outermost first; those in a worker process, if it happened there."""
    is_remote = type(error.__cause__).__name__ in ("_RemoteTraceback", "RemoteTraceback")
    remote = str(error.__cause__) if is_remote else ""
    if found := _REMOTE_FRAME.findall(remote):
        return [Frame(file, int(number), function, line.strip()) for file, number, function, line in found]
    made = traceback.extract_tb(error.__traceback__)
    return [Frame(one.filename, one.lineno or 0, one.name, one.line or "") for one in made]


def users_frame(error: BaseException) -> Frame | None:
    """The innermost place of an error that is in code which gearing called and which is not installed."""
    own = users_frames(error)
    return own[-1] if own else None


def users_frames(error: BaseException) -> list[Frame]:
    """All such places, the outermost first."""
    found = frames(error)
    first = next((k for k, frame in enumerate(found) if frame.file.startswith(PACKAGE)), len(found))
    known = (PACKAGE, *_LIBRARIES)
    # Files of compiled libraries and of typed code are not there.
    return [one for one in found[first:] if os.path.isfile(one.file) and not one.file.startswith(known)]


def described(error: BaseException) -> str:
    """Class and message of an error in one line; where it was raised in a user's code, file and line first."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    place = users_frame(error)
    return text if place is None else f"{place.file}, line {place.number}, in {place.function}: {text}"


def portable(error: BaseException) -> ExceptionWithTraceback:
    """An error that a worker process may return; it arrives as the error itself, and `frames` knows its places.

    One that cannot be rebuilt there, such as of a class whose constructor takes other arguments than a message, arrives
    as a RuntimeError with its class and message.
    """
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever the class of an error does
        error = RuntimeError(f"{type(error).__name__}: {error}").with_traceback(error.__traceback__)
    return ExceptionWithTraceback(error, error.__traceback__)


@dataclass(frozen=True)
class _Plugin:
    module: ModuleType
    digest: str


_LOADED: dict[str, _Plugin] = {}


def load_plugins(names: Iterable[str]) -> None:
    """Import plugins, each once per process.

    Parameters
    ----------
    names : iterable of str
        Modules, or files that end in ``.py``.

    Raises
    ------
    ValueError
        If there is no such module or file, or its code fails; the message gives file and line.
    """
    for name in names:
        _load(name)


def plugins_digest(names: Iterable[str]) -> str:
    """Hash of the code of plugins: their files, and those that they import from their own folders or packages."""
    return digest(sorted(_load(name).digest for name in names))


def load_object(name: str) -> Any:
    """What ``module:NAME`` or ``file.py:NAME`` names.

    Raises
    ------
    ValueError
        As `load_plugins`; also if the module does not define the name.
    """
    where, _, what = name.rpartition(":")
    if not where or not what.isidentifier():
        raise ValueError(
            f"{name!r} names no object; write module:NAME or file.py:NAME, as in my_policy.py:Mine."
        )
    module = _load(where).module
    if not hasattr(module, what):
        public = [
            one
            for one, value in vars(module).items()
            if getattr(value, "__module__", None) == module.__name__
        ]
        raise ValueError(f"{where} defines no {what!r}.{did_you_mean(what, public)}")
    return getattr(module, what)


def absolute(name: str, folder: Path | None = None) -> str:
    """The name of a plugin with its file's full path, if it is a file of the current folder or of ``folder``."""
    for home in (Path.cwd(), folder):
        if home is not None and _is_file(name) and (home / name).is_file():
            return str((home / name).resolve())
    return name


def _is_file(name: str) -> bool:
    return name.endswith(".py")


def _load(name: str) -> _Plugin:
    name = absolute(name)
    if name not in _LOADED:
        module = _import_file(Path(name)) if _is_file(name) else _import_named(name)
        _LOADED[name] = _Plugin(module, _digest_of(module))
    return _LOADED[name]


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        others = [other.name for other in path.parent.glob("*.py")] if path.parent.is_dir() else []
        raise ValueError(f"plugin {path}: there is no such file.{did_you_mean(path.name, others)}")
    if not path.stem.isidentifier():
        raise ValueError(
            f"plugin {path}: {path.stem!r} is no name of a module. Rename the file, as in my_rules.py."
        )
    _look_in(path.parent)
    module = _imported(path.stem, str(path))
    if Path(module.__file__ or "").resolve() != path.resolve():
        raise ValueError(
            f"plugin {path}: Python knows another module {path.stem!r} ({module.__file__ or 'built in'}). Rename "
            "the file."
        )
    return module


def _import_named(name: str) -> ModuleType:
    if not all(part.isidentifier() for part in name.split(".")):
        raise ValueError(
            f"plugin {name!r} is neither a module, as in my_package.rewards, nor a file, as in my_rewards.py."
        )
    _look_in(Path.cwd())
    return _imported(name, name)


def _look_in(folder: Path) -> None:
    """Let modules of a folder be imported, behind everything that is installed; worker processes inherit this."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _imported(module: str, called: str) -> ModuleType:
    try:
        return import_module(module)
    except KeyboardInterrupt:
        raise
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module}.".startswith(f"{error.name}."):
            raise ValueError(
                f"plugin {called!r}: there is no module {error.name!r} in {Path.cwd()} or among the installed packages."
            ) from None
        raise ValueError(_failed(called, error)) from error
    except (Exception, SystemExit) as error:  # whatever a user's code raises
        raise ValueError(_failed(called, error)) from error


def _failed(called: str, error: BaseException) -> str:
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, SyntaxError):
        return f"plugin {called}: {error.filename}, line {error.lineno}: SyntaxError: {error.msg}"
    frame = users_frame(error)
    return (
        f"plugin {called}: {frame.file}, line {frame.number}: {text}" if frame else f"plugin {called}: {text}"
    )


def _digest_of(module: ModuleType) -> str:
    """Hash of a plugin's package, or of its file and those next to it that it imports."""
    top = module.__name__.partition(".")[0]
    if getattr(sys.modules[top], "__path__", None) and sys.modules[top].__file__:
        return code_digest(top)
    if not module.__file__:
        return digest(module.__name__)
    files = sorted(set(_files_of(Path(module.__file__), set())))
    return digest([(path.name, file_digest(path)) for path in files])


def _files_of(path: Path, seen: set[Path]) -> Iterator[Path]:
    """A module's file and the files of its own folder that it imports, found in its source."""
    if path in seen:
        return
    seen.add(path)
    yield path
    for name in _imports_of(path):
        near = path.parent / name
        if near.with_suffix(".py").is_file():
            yield from _files_of(near.with_suffix(".py"), seen)
        elif (near / "__init__.py").is_file():
            yield from near.rglob("*.py")


def _imports_of(path: Path) -> Iterator[str]:
    """First parts of the names of the modules that a file imports."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]
