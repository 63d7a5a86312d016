"""What the random scenarios contained, summed up at the end of a run."""

from __future__ import annotations

from collections import Counter

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Counts of all scenario tests of the run, however many processes they ran in."""
    seen: Counter[str] = Counter()
    for report in terminalreporter.getreports("passed"):
        for name, counts in report.user_properties:
            if name == "scenarios" and report.when == "call":
                seen.update(counts)
    if seen:
        terminalreporter.write_sep("-", "in the scenarios on which kernel and exact decimals agree")
        terminalreporter.write_line(", ".join(f"{name} {count}" for name, count in sorted(seen.items())))
