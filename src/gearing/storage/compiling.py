"""``njit`` of numba, which says on the terminal that it compiles: the first use on a machine waits for it.

Compiled code is cached (``numba_cache.py``), so the line appears once, and again after a change of gearing or numba.
"""

import gc
import logging
import os
import sys
import time
from typing import TextIO

from numba import njit as njit
from numba.core import event

_LOG = logging.getLogger(__name__)
_QUIET_SECONDS = 0.5  # CPU; less needs no message
_DOTS_SECONDS = 1.0  # between two signs of progress


class Announcer(event.Listener):
    """Prints one line with a dot for every second while functions of gearing are compiled.

    Parameters
    ----------
    stream : text file or None
        None prints to the error output if it is a terminal or a notebook.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._given, self._depth, self._ours, self._line = stream, 0, False, False
        self._begun = self._dotted = 0.0
        self._collected = False

    def on_start(self, event: event.Event) -> None:
        """A function is compiled, perhaps for another that waits for it."""
        self._depth += 1
        if self._depth == 1:
            self._begun = self._dotted = time.process_time()
            self._ours = event.data["dispatcher"].py_func.__module__.startswith("gearing.")
            self._collected = gc.isenabled()
            gc.disable()  # numba makes many objects, and looking through them takes a tenth of the time
        self._progress()

    def on_end(self, event: event.Event) -> None:
        """A function is compiled."""
        self._progress()
        self._depth -= 1
        if self._depth == 0:
            if self._collected:
                gc.enable()
            if self._line:
                self._line = False
                self._say(f" {time.process_time() - self._begun:.0f} s\n")

    def _progress(self) -> None:
        now = time.process_time()
        if self._ours and not self._line and now - self._begun > _QUIET_SECONDS:
            self._line = True
            where = os.environ.get("NUMBA_CACHE_DIR", "")
            _LOG.info("compiling for this machine, once; cached in %s", where)
            self._say(f"gearing compiles for this machine, once (cached in {where}) ")
        if self._line and now - self._dotted > _DOTS_SECONDS:
            self._dotted = now
            self._say(".")

    def _say(self, text: str) -> None:
        if self._stream is not None:
            print(text, end="", file=self._stream, flush=True)

    @property
    def _stream(self) -> TextIO | None:
        if self._given is not None:
            return self._given
        shown = sys.stderr is not None and (sys.stderr.isatty() or "ipykernel" in sys.modules)
        return sys.stderr if shown else None


event.register("numba:compile", Announcer())
