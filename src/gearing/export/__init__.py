"""The bundle: a folder that is enough to decide; its writer, its verifier and the light runtime.

Deciding needs numpy, pandas, numba and, for networks, onnxruntime. Nothing of the training stack.
"""

from __future__ import annotations

from gearing.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "Bundle": "gearing.export.runtime",
        "BundleError": "gearing.export.files",
        "Decision": "gearing.export.decision",
        "Order": "gearing.export.decision",
        "export_bundle": "gearing.export.writer",
        "load_bundle": "gearing.export.runtime",
        "verify_bundle": "gearing.export.files",
    },
)
