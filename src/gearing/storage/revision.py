"""Which revision of its source gearing runs from."""

import subprocess
from functools import cache
from pathlib import Path

_SECONDS = 10.0
_COMMANDS = (  # the second only where this file is part of the repository
    ("ls-files", "--error-unmatch", Path(__file__).name),
    ("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"),
)


@cache
def source_revision() -> str | None:
    """Git revision of gearing's source, with "-dirty" if files differ from it; None of an installed package."""
    try:
        return [_output(command) for command in _COMMANDS][-1]
    except (OSError, subprocess.SubprocessError):
        return None


def _output(command: tuple[str, ...]) -> str:
    git = ["git", "-C", str(Path(__file__).parent), *command]
    return subprocess.run(git, capture_output=True, text=True, check=True, timeout=_SECONDS).stdout.strip()
