"""The bundle: a folder that is enough to decide; its writer, its verifier and the light runtime.

Deciding needs numpy, pandas, numba and, for networks, onnxruntime. Nothing of the training stack.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "Bundle": "runtime",
    "BundleError": "errors",
    "Decision": "decision",
    "Order": "decision",
    "export_bundle": "writer",
    "load_bundle": "runtime",
    "verify_bundle": "files",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
