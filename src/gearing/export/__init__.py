"""Bundles: folders of exported policies; writer, verifier and runtime.

Decisions need numpy and, for networks, onnxruntime; Parquet files and tables of pandas need pandas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gearing.lazy import lazy_exports

if TYPE_CHECKING:
    from gearing.export.bundle.files import BundleError as BundleError, verify_bundle as verify_bundle
    from gearing.export.deciding.decision import Decision as Decision, Order as Order
    from gearing.export.playing import BundlePolicy as BundlePolicy
    from gearing.export.runtime import Bundle as Bundle, load_bundle as load_bundle
    from gearing.export.writer import export_bundle as export_bundle
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__)
