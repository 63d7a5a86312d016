"""Opening an MLflow store: a SQLite database is laid out under another name and moved into place when it is whole.

MLflow lays a database out in some fifty steps that cannot be repeated; a process that is killed between two of them
would leave a database that nothing opens again.
"""

import contextlib
import logging
import os
import re
import secrets
import shutil
import sqlite3
import time
from collections.abc import Iterator
from glob import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from filelock import FileLock

from gearing.storage.atomic import set_aside

SQLITE = "sqlite:///"
DEFAULT_URI = "sqlite:///mlruns/mlflow.db"
_OPTIONS = re.compile(r"\?(\w+=[^/?]*)$")  # of a SQLAlchemy address, as in sqlite:///mlflow.db?timeout=30
_SCHEMES_WITHOUT_SLASHES = ("databricks", "databricks-uc", "uc")
_QUIET_SECONDS = 3.0  # a database that its maker no longer writes to
_LOCK_SECONDS = 60.0
_ROWS_COUNTED = 1000  # of an index
_logger = logging.getLogger(__name__)


def checked_uri(uri: str) -> str:
    """Make a SQLite path absolute, so that worker processes and a change of folder mean the same database.

    Raises
    ------
    ValueError
        If the address names a folder or a database in memory.
    """
    if uri.startswith("file:") or ("://" not in uri and uri not in _SCHEMES_WITHOUT_SLASHES):
        raise ValueError(
            f"tracking URI {uri!r} names a folder, and MLflow no longer writes to plain folders. "
            "Use a database such as 'sqlite:///mlruns/mlflow.db', or the address of a server."
        )
    if uri in ("sqlite://", "sqlite:///", "sqlite:///:memory:"):
        raise ValueError(
            f"tracking URI {uri!r} is a database in memory, which ends with the process. Give it a file, such as "
            "'sqlite:///mlruns/mlflow.db'."
        )
    path, options = _split(uri)
    return uri if path is None else f"{SQLITE}{path.absolute()}{options}"


def chosen_uri(given: str | None) -> str:
    """The tracking URI: the given one, ``$MLFLOW_TRACKING_URI``, or a database in this folder."""
    from_environment = os.environ.get("MLFLOW_TRACKING_URI")
    try:
        return checked_uri(given or from_environment or DEFAULT_URI)
    except ValueError as error:
        if given or not from_environment:
            raise
        raise ValueError(f"MLFLOW_TRACKING_URI: {error}") from None


def check_mlflow() -> None:
    """Refuse to begin where MLflow is not installed.

    Raises
    ------
    ValueError
        Saying how to install it.
    """
    if find_spec("mlflow") is None:
        raise ValueError(
            'runs are recorded with MLflow. Install it with: pip install "gearing[track]", or record none: '
            "tracking.enabled=false."
        )


def database(uri: str) -> Path | None:
    """File of a SQLite store; None of a server."""
    return _split(uri)[0]


def engine_uri(uri: str) -> str:
    """The address as SQLAlchemy reads it: it would take a '?' in a path for options, and decodes '%3F'."""
    path, options = _split(uri)
    if path is None:
        return uri
    text = str(path)
    if "?" in text or unquote(text) != text:
        text = text.replace("%", "%25").replace("?", "%3F")
    return f"{SQLITE}{text}{options}"


def without_password(uri: str) -> str:
    """The address without user name and password."""
    parts = urlsplit(uri)
    host = parts.netloc.rpartition("@")[2]
    return uri if host == parts.netloc else urlunsplit(parts._replace(netloc=host))


def open_client(uri: str) -> Any:
    """MLflow client of a store, whose database is laid out if it is missing; the process's MLflow settings stay.

    Raises
    ------
    ValueError
        If the file is not a database of MLflow.
    """
    from mlflow import MlflowClient

    path, address = database(uri), engine_uri(uri)
    if path is None:
        client = MlflowClient(address, registry_uri=address)
        client.search_experiments(max_results=1)
        return client
    path.parent.mkdir(parents=True, exist_ok=True)
    with _lock(path), _quiet(), _no_stray_folder(address, path):
        _make_whole(path)
        client = MlflowClient(address, registry_uri=address)
        client.search_experiments(max_results=1)
    return client


def prepare_for_reading(uri: str) -> None:
    """Let SQLite count the rows of a database, without which MLflow sorts 10,000 runs by a metric in half a minute."""
    path = database(uri)
    if path is not None:
        with contextlib.suppress(sqlite3.Error), contextlib.closing(_connected(path)) as opened:
            opened.execute(f"PRAGMA analysis_limit = {_ROWS_COUNTED}")
            opened.execute("PRAGMA optimize = 0x10002")  # all tables that changed much


def _split(uri: str) -> tuple[Path | None, str]:
    """File and options of a SQLite address; no file for other stores."""
    rest = uri.removeprefix(SQLITE)
    if rest == uri or rest.startswith("file:"):
        return None, ""
    found = _OPTIONS.search(rest)
    return (Path(rest), "") if found is None else (Path(rest[: found.start()]), found.group())


def _lock(path: Path) -> FileLock:
    """Held while a store is opened, so that processes wait for one layout."""
    return FileLock(path.with_name(f".{path.name}.lock"), timeout=_LOCK_SECONDS)


def _make_whole(path: Path) -> None:
    """Lay the database out if it is missing; move a half-made one aside first."""
    for old in path.parent.glob(
        f".{escape(path.name)}.*.part*"
    ):  # of killed processes, since the lock is held
        old.unlink(missing_ok=True)
    if path.exists() and path.stat().st_size and _holds_something(path):
        return
    if path.exists() and path.stat().st_size and _is_whole(path):
        return
    if path.exists() and path.stat().st_size:
        _wait_until_quiet(path)
        aside = set_aside(path)
        for suffix in ("-journal", "-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)  # of a database that holds nothing
        _logger.warning(
            "%s was only laid out in part and held no run; it is now %s, and a new one is made.", path, aside
        )
    draft = _draft(path)
    try:
        _lay_out(draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _holds_something(path: Path) -> bool:
    """Whether a database has runs, experiments or models; False for the rest of a layout.

    Raises
    ------
    ValueError
        If it is no database, or one of another program.
    ConnectionError
        If it cannot be opened now.
    """
    try:
        with contextlib.closing(_connected(path)) as open_database:
            tables = {
                name for (name,) in open_database.execute("SELECT name FROM sqlite_master WHERE type='table'")
            }
            if tables and not tables & {"experiments", "alembic_version"}:
                raise ValueError(
                    f"{path} is a database of another program (tables {', '.join(sorted(tables)[:3])}). Give "
                    "tracking.uri another file."
                )
            questions = {
                "runs": "SELECT count(*) FROM runs",
                "experiments": "SELECT count(*) FROM experiments WHERE name <> 'Default'",
                "registered_models": "SELECT count(*) FROM registered_models",
            }
            found = (text for table, text in questions.items() if table in tables)
            return any(open_database.execute(text).fetchone()[0] for text in found)
    except sqlite3.OperationalError as error:  # locked, a folder, no access: MLflow would try for minutes
        raise ConnectionError(f"{path} cannot be opened: {error}") from None
    except sqlite3.DatabaseError as error:
        raise ValueError(
            f"{path} is not a SQLite database ({error}). Move it away, or give tracking.uri another file."
        ) from None


def _is_whole(path: Path) -> bool:
    """Whether MLflow opens a database and leaves its tables as they are; tried on a copy."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    copy = _draft(path)
    shutil.copyfile(path, copy)
    try:
        before = _schema(copy)
        _lay_out(copy)
        return before == _schema(copy)
    except (MlflowException, SQLAlchemyError):
        return False
    finally:
        copy.unlink(missing_ok=True)


def _draft(path: Path) -> Path:
    """A new name each time: MLflow keeps an engine, with open files, for each address that it ever opened."""
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(2)}.part")


def _schema(path: Path) -> list[Any]:
    with contextlib.closing(_connected(path)) as opened:
        return sorted(opened.execute("SELECT name, sql FROM sqlite_master WHERE type='table'"))


def _connected(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True, timeout=10.0)


def _lay_out(path: Path) -> None:
    """Make MLflow's tables where they are missing."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    with _no_stray_folder(engine_uri(f"{SQLITE}{path}"), path):
        store = SqlAlchemyStore(engine_uri(f"{SQLITE}{path}"), (path.parent / "artifacts").as_uri())
        store.engine.dispose()


def _wait_until_quiet(path: Path) -> None:
    """A process that lays the database out without this lock (MLflow's own server) is given time.

    Raises
    ------
    TimeoutError
        If it goes on.
    """
    deadline = time.monotonic() + _LOCK_SECONDS
    while time.time() - path.stat().st_mtime < _QUIET_SECONDS:
        if time.monotonic() > deadline:
            raise TimeoutError(f"another process is laying out {path}.")
        time.sleep(0.2)


@contextlib.contextmanager
def _no_stray_folder(address: str, path: Path) -> Iterator[None]:
    """Remove the folder that MLflow makes of an address with encoded characters, without decoding them."""
    taken = Path(_split(address)[0] or path).parent
    made = [folder for folder in (taken, *taken.parents) if not folder.exists()]
    try:
        yield
    finally:
        for folder in made:
            with contextlib.suppress(OSError):
                folder.rmdir()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Alembic and MLflow report every step of a layout, which a user of gearing does not need."""
    loggers = [logging.getLogger(name) for name in ("alembic", "mlflow.store.db.utils")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
