"""Runs, datasets and models in MLflow; records survive killed processes and an unreachable server.

The only package that imports MLflow, and only when used. A run writes to a journal on disk first (``journal``), the
``Tracker`` sends journals in batches from a background thread (``delivery``), and the next tracker sends what a
killed process left, exactly once.
"""

from gearing.tracking.reading import find_runs
from gearing.tracking.registry import Promotion, candidates, promote
from gearing.tracking.run import Run
from gearing.tracking.study_runs import StudyRun, study_runs
from gearing.tracking.tracker import Tracker

__all__ = ["Promotion", "Run", "StudyRun", "Tracker", "candidates", "find_runs", "promote", "study_runs"]
