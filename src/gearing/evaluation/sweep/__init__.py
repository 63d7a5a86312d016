"""Walk-forward search of a rule's parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gearing.lazy import lazy_exports

if TYPE_CHECKING:
    from gearing.evaluation.sweep.walk_forward import Pick as Pick, Sweep as Sweep, sweep as sweep
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__)
