"""Runs, datasets and models in MLflow, through a writer that survives the tracker being away.

The only room that imports MLflow, and it does so late. What a run logs goes to a journal on disk first
(``journal``), the ``Tracker`` sends journals in batches from a background thread (``delivery``), and what a
killed process or an absent tracker left behind is sent by the next one, exactly once.
"""

from gearing.tracking.reading import find_runs
from gearing.tracking.run import Run
from gearing.tracking.tracker import Tracker

__all__ = ["Run", "Tracker", "find_runs"]
