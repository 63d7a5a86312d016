"""Bundles: folders of exported policies; writer, verifier and runtime.

Decisions need numpy, pandas, numba and, for networks, onnxruntime, but none of the training libraries.
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
