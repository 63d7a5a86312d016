"""Decide without the command line's packages: numpy, and onnxruntime for networks.

python -m gearing.export BUNDLE --bars bars.csv --funding funding.csv --account account.json --now 2024-07-01T08:00
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from gearing.export.bundle.files import BundleError


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    from gearing.export.deciding.settings import MAX_OUTSIDE
    from gearing.export.reading.jumps import MAX_JUMP

    made = argparse.ArgumentParser(
        prog="python -m gearing.export",
        description="Decide with an exported policy: target leverage, orders and the venue's calls.",
    )
    add = made.add_argument
    add("bundle", type=Path, help="folder of the bundle")
    add("--bars", type=Path, required=True, help="recent bars: CSV, JSON (klines of a venue) or Parquet")
    add("--account", type=Path, required=True, help="account, JSON: our format or a venue's answers")
    add("--funding", type=Path, help="recent settlements: CSV, JSON or Parquet")
    add(
        "--now",
        help="moment of the decision, UTC (required), or a file that holds it; 'last-bar' for back-testing",
    )
    add("--digest", help="refuse any bundle but the one with this digest")
    add("--key", help="refuse a bundle not signed with the private key of this ed25519 key (hex or file)")
    add("--fallback", help="what a refused decision does: hold, flat, or reduce:2")
    add("--venue", help="list the calls of binance-usdm, bybit or okx")
    add("--max-age", help="longest time from the newest closed bar to now; default 1bar")
    add(
        "--max-jump",
        default=str(MAX_JUMP),
        help="largest move of a price in standard deviations of a bar, or off",
    )
    add(
        "--max-outside",
        default=str(MAX_OUTSIDE),
        help="how far outside the ranges of training, as a share of them, or off",
    )
    add("--last", type=Path, help="JSON of the previous decision, to continue its memory")
    add("--json", type=Path, dest="json_file", help="write the decision there, too")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a decision; returns 0, 1 where a fallback was followed, 2 for an error or a refusal without one."""
    given = parser().parse_args(arguments)
    from gearing.export.runtime import load_bundle

    try:
        decision = load_bundle(given.bundle, given.digest, given.key).decide(
            given.bars, given.account, given.funding, now=moment_given(given.now), max_age=given.max_age,
            max_jump=given.max_jump, memory=given.last, fallback=given.fallback, venue=given.venue,
            max_outside=given.max_outside,
        )  # fmt: skip
        if given.json_file is not None:
            given.json_file.write_text(decision.to_json() + "\n", encoding="utf-8")
    except (BundleError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write(f"{decision}\n")
    return 1 if decision.refusals else 0


def moment_given(now: str | None) -> str | None:
    """The moment, or what a file says it is: a study writes ``now.txt`` next to its bars."""
    if now is None or not now.endswith(".txt"):
        return now
    try:
        return Path(now).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"now: {now} cannot be read ({error}).", "moment") from error


if __name__ == "__main__":
    raise SystemExit(main())
