"""Public names of a package, imported when they are first used.

A package's ``__init__`` imports its public names where only type checkers look, and this module reads them there, so
that `dir()`, `help()`, completion and type checkers show the same names while importing the package stays cheap:

    if TYPE_CHECKING:
        from gearing.evaluation.backtesting import backtest as backtest
    else:
        __getattr__, __dir__, __all__ = lazy_exports(__name__)

A few lines here instead of the lazy-loader library, because an exported policy imports this package and needs numpy
and onnxruntime only.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any


def lazy_exports(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """``__getattr__``, ``__dir__`` and ``__all__`` of a package, from the names that it imports ``as`` themselves.

    Parameters
    ----------
    package : str
        Its ``__name__``.
    """
    module = sys.modules[package]
    modules = _imported(module)
    public = sorted(modules)

    def load(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home = import_module(modules[name])
        # As an import statement does it: what the package defines, else its module of that name.
        defined = home is not module and hasattr(home, name)
        value = getattr(home, name) if defined else import_module(f"{modules[name]}.{name}")
        setattr(module, name, value)
        return value

    return load, lambda: public, public


def reexports(package: str) -> list[str]:
    """``__all__`` of a package whose ``__init__`` imports its public names ``as`` themselves, at once."""
    return sorted(_imported(sys.modules[package]))


def _imported(module: ModuleType) -> dict[str, str]:
    """Full name of the module that each public name is imported from."""
    loader: Any = module.__spec__ and module.__spec__.loader
    return {
        alias.name: node.module
        for node in ast.walk(ast.parse(loader.get_source(module.__name__)))
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
        if alias.asname == alias.name
    }
