"""Bundles at work: a paper account, its statements, a service, a watch over an account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gearing.lazy import lazy_exports

if TYPE_CHECKING:
    from gearing.live.paper.run import (
        PaperError as PaperError,
        PaperRun as PaperRun,
        paper_account as paper_account,
    )
    from gearing.live.paper.statement import write_statement as write_statement
    from gearing.live.watching import (
        Finding as Finding,
        Thresholds as Thresholds,
        Watch as Watch,
        watch as watch,
    )
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__)
