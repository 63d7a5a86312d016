"""Things known by name: looking them up, registering them, suggesting the nearest name for one that does not exist.

Names that become files and folders are checked here too.

Needs the standard library only, because an exported policy looks up its rule and its controls by name.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import entry_points
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, Generic, TypeVar, get_args

Thing = TypeVar("Thing")
# Annotations of fields that `check_types` checks.
_TYPES: Mapping[Any, type] = {
    float: Real, int: Integral, bool: bool, str: str, NoneType: NoneType, Mapping[str, Any]: Mapping,
}  # fmt: skip


# Of a file or folder on every system: no separators, no drive, nothing that Windows refuses or cuts off, not hidden.
_REFUSED = r'\x00-\x1f\x7f/\\<>:"|?*\ud800-\udfff'
_FILE_NAME = re.compile(rf"[^{_REFUSED}. -]([^{_REFUSED}]{{0,98}}[^{_REFUSED}. ])?")
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def is_file_name(name: object) -> bool:
    """Whether a text may name a file or a folder: up to 100 characters, no path, the same on every system."""
    return isinstance(name, str) and bool(_FILE_NAME.fullmatch(name)) and not _DEVICE.fullmatch(name)


def check_file_name(name: Any, what: str) -> str:
    """The name if it may become a file or a folder.

    Raises
    ------
    ValueError
        Otherwise; ``what`` says what has that name.
    """
    if not is_file_name(name):
        raise ValueError(
            f"{what} {str(name)[:120]!r} cannot name a file or a folder: write up to 100 characters "
            'without / \\ < > : " | ? *, that do not begin with a dot, a hyphen or a space '
            "and do not end with a dot or a space."
        )
    return str(name)


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known name most like ``name``; None where none is similar (``cutoff`` 0 takes any, 1 equal ones only)."""
    return next(iter(get_close_matches(str(name), list(known), n=1, cutoff=cutoff)), None)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """End of an error message, with a leading space: the nearest of the known names, or all where none is near."""
    known = list(known)
    near = nearest(name, known)
    return f" Did you mean {near!r}?" if near else f" Known: {', '.join(known) or 'none'}."


def shown(value: Any, most: int = 60) -> str:
    """A value as messages show it: classes and functions by name, others as Python writes them, cut to ``most``."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if callable(value) and hasattr(value, "__name__"):
        return f"the function {value.__name__}"
    text = " ".join(repr(value).split())
    if " object at 0x" in text:
        return f"an object of the class {type(value).__name__}"
    return text if len(text) <= most else f"{text[:most]} ..."


def check_names(
    rule: str,
    given: Iterable[str],
    known: Iterable[str],
    error: type[Exception] = ValueError,
    advice: str = "",
) -> None:
    """Refuse the first given name that is not known.

    Parameters
    ----------
    rule : str
        Begins the message, as in "the account has no field".
    given, known : iterable of str
    error : type of exception
        What is raised; its message suggests the nearest name.
    advice : str
        Ends the message.
    """
    known = list(known)
    for name in given:
        if name not in known:
            raise error(f"{rule} {name!r}.{did_you_mean(name, known)} {advice}".rstrip())


def check_types(given: Mapping[str, Any], made: type) -> None:
    """Refuse parameters of a dataclass that are no number, text, flag or mapping where its fields are annotated so.

    Raises
    ------
    TypeError
        Naming the parameter.
    """
    for field in fields(made):
        kinds = get_args(field.type) if isinstance(field.type, UnionType) else (field.type,)
        if field.name in given and _TYPES.keys() >= set(kinds):
            value = given[field.name]
            is_flag = isinstance(value, bool)  # which Python counts among the integers
            if not (bool in kinds if is_flag else any(isinstance(value, _TYPES[kind]) for kind in kinds)):
                names = " or ".join("None" if kind is NoneType else kind.__name__ for kind in kinds)
                raise TypeError(f"{field.name} is {shown(value)}; it must be {names}.")


class Register(Generic[Thing]):
    """Things of one kind by name: those that ship, those of installed packages, and a user's own.

    Parameters
    ----------
    kind : str
        What messages call one of them, as in "rule".
    group : str
        Entry points under which installed packages announce modules that register their own.
    modules : sequence of str
        Modules that register those that ship; imported when the first name is looked up.
    """

    def __init__(self, kind: str, group: str, modules: Sequence[str] = ()):
        self.kind, self.group, self._modules = kind, group, tuple(modules)
        self._things: dict[str, Thing] = {}
        self._sources: dict[str, tuple[str, str]] = {}
        self._loaded = False

    def add(self, name: str, thing: Thing, source: Any = None) -> None:
        """Register a thing.

        Parameters
        ----------
        name : str
        thing : object
        source : function or class, optional
            What made the thing, where it has no module and qualified name of its own. A module that is loaded again
            may register the same source again.

        Raises
        ------
        ValueError
            If another thing has that name.
        """
        made: Any = thing if source is None else source
        origin = (made.__module__, made.__qualname__)
        if self._sources.get(name, origin) != origin:
            raise ValueError(
                f"a {self.kind} named {name!r} is already registered by {self._sources[name][0]}; choose another name."
            )
        self._things[name], self._sources[name] = thing, origin

    def register(self, name: str) -> Callable[[Any], Any]:
        """Decorator that registers a function or class under a name."""

        def decorate(thing: Any) -> Any:
            self.add(name, thing)
            return thing

        return decorate

    def remove(self, name: str) -> None:
        """Forget a name, so that it can be given to another thing."""
        del self._things[name], self._sources[name]

    def names(self) -> tuple[str, ...]:
        """All names, in order of registration: those that ship first."""
        self._load()
        return tuple(self._things)

    def __contains__(self, name: object) -> bool:
        self._load()
        return name in self._things

    def __getitem__(self, name: str) -> Thing:
        if name not in self:
            raise ValueError(f"no {self.kind} {name!r}.{did_you_mean(name, self._things)}")
        return self._things[name]

    def _load(self) -> None:
        """Import what ships and what installed packages announce, once: reading entry points takes milliseconds."""
        if self._loaded:
            return
        self._loaded = True  # before the imports, which may look up a name themselves
        try:
            for module in self._modules:
                import_module(module)
            for entry in entry_points(group=self.group):
                entry.load()
        except BaseException:
            self._loaded = False
            raise
