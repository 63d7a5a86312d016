"""Print the calls of each decision of a bundle: the place where your own adapter would send them.

    python examples/print_calls.py BUNDLE --bars bars.csv --account account.json --funding funding.csv --log session

gearing sends no orders. A session decides once at each due close, logs the decision, and lists the venue's calls in
their order, texts as the venue takes them. An adapter signs and sends them one after the other, stops at the first
that fails, and gives the orders that are not filled yet to the next decision (``pending=``). A call that is sent twice
does no harm: its client order id is the same.
"""

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path

from gearing.export.runtime import Session, load_bundle


def send(call):
    """Where an adapter would sign the request and send it; this one prints it."""
    print(f"{call.method:<5}{call.path}  {json.dumps(dict(call.params))}  # {call.purpose}")


def main():
    """Decide once."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--bars", type=Path, required=True)
    parser.add_argument("--account", type=Path, required=True)
    parser.add_argument("--funding", type=Path)
    parser.add_argument("--log", type=Path, default=Path("session"))
    parser.add_argument("--now", help="UTC; default the present")
    parser.add_argument("--venue", default="binance-usdm")
    given = parser.parse_args()
    now = given.now or datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="seconds")
    limits = {"drawdown": 0.25, "daily_loss": 0.1}
    with Session(
        load_bundle(given.bundle), given.log, limits=limits, fallback="hold", venue=given.venue
    ) as session:
        decision = session.decide(given.bars, given.account, given.funding, now=now)
        print(decision)
        for call in decision.calls:
            send(call)


if __name__ == "__main__":
    main()
