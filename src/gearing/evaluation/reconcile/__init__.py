"""Account statements replayed through the exchange rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gearing.lazy import lazy_exports

if TYPE_CHECKING:
    from gearing.evaluation.reconcile.files import reconcile_files as reconcile_files
    from gearing.evaluation.reconcile.outcome import Reconciliation as Reconciliation
    from gearing.evaluation.reconcile.replay import reconcile as reconcile
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__)
