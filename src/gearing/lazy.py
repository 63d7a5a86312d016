"""Public names of a package, imported when they are first used.

Each package states where its public names live; `dir()`, `help()` and completion show them all, and importing the
package stays cheap. A few lines here instead of the lazy-loader library, because an exported policy imports this
package and needs numpy and onnxruntime only.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_exports(
    package: str, homes: Mapping[str, str], modules: Mapping[str, str] | None = None
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """``__getattr__``, ``__dir__`` and ``__all__`` of a package.

    Parameters
    ----------
    package : str
        Its ``__name__``.
    homes : mapping of public name to the full name of the module that defines it
    modules : mapping of public name to full name, optional
        Public names that are modules themselves.
    """
    modules = modules or {}
    public = sorted({*homes, *modules})

    def load(name: str) -> Any:
        if name in homes:
            value = getattr(import_module(homes[name]), name)
        elif name in modules:
            value = import_module(modules[name])
        else:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        setattr(sys.modules[package], name, value)
        return value

    return load, lambda: public, public
