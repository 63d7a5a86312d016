"""Environments of other projects, each made once in .cache/peers, so that nothing of theirs meets ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PEERS = Path(__file__).resolve().parents[2] / ".cache" / "peers"
PACKAGES = {
    "gym-trading-env": ("gym-trading-env==0.3.5",),
    "torchtrade": ("torchtrade==0.1.0",),
    "vectorbt": ("vectorbt==1.2.0",),
    # gearing runs inside freqtrade, from its sources: what it needs beside what freqtrade brings.
    "freqtrade": (
        "freqtrade==2026.9",
        "gymnasium>=1.0",
        "numba>=0.60",
        "omegaconf>=2.3",
        "pyyaml>=6.0",
        "typer>=0.12",
    ),
}


def environment(name: str) -> Path | str:
    """Interpreter of a peer's own environment, made when missing; or the reason why there is none."""
    folder = PEERS / name
    python = folder / "bin" / "python"
    marker = folder / ".installed"
    if marker.exists():
        return python
    try:
        subprocess.run(
            [sys.executable, "-m", "venv", str(folder)], check=True, capture_output=True, timeout=120
        )
        subprocess.run(
            [str(python), "-m", "pip", "install", "--quiet", *PACKAGES[name]],
            check=True, capture_output=True, timeout=1500, text=True,
        )  # fmt: skip
    except (subprocess.SubprocessError, OSError) as failure:
        said = (getattr(failure, "stderr", None) or str(failure)).strip().splitlines()
        return f"not installed: {said[-1] if said else failure}"
    marker.touch()
    return python
