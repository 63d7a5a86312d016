"""What a decision of a bundle costs: cold start, memory, and CPU time of a bar and of the decision on it.

A process of its own where only numpy and onnxruntime can be imported opens a network's bundle, takes a look-back as a
stream, and then bar by bar one more and the decision on it. References of the same process: importing numpy and
onnxruntime, its memory then, and the network's run alone.

    python tests/benchmarks/decision.py [--decisions 1000] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.export import cases
from tests.export.test_light_runtime import ABSENT

from gearing.export import export_bundle

PROGRAM = """
import json, sys, time

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {absent!r}:
            raise ModuleNotFoundError(name)

def used():
    # Not getrusage, whose largest memory is also that of the process that started this one.
    lines = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return time.process_time(), int(lines["VmHWM"].split()[0]) / 1024

def cost(act, values):
    began = time.thread_time()
    for value in values:
        act(value)
    return (time.thread_time() - began) / len(values) * 1e3

sys.meta_path.insert(0, Absent())
import numpy, onnxruntime
reference = used()
from gearing.export import load_bundle
folder, bars, funding, look_back, decisions = {given!r}
bundle = load_bundle(folder)
opened = used()
account = {{"equity": 10000.0, "positions": {{}}}}
bars, funding = json.load(open(bars)), json.load(open(funding))
begins = bars[look_back]["open_time"]
begun = time.process_time()
stream = bundle.stream(bars[:look_back], [one for one in funding if one["time"] < begins])
begun = time.process_time() - begun
stamped = {{one["time"]: one for one in funding}}

def push(bar):
    stream.push(bar, [stamped[bar["open_time"]]] if bar["open_time"] in stamped else [])

def decide(_):
    assert not stream.decide(account, now=stream.next_open, fallback="hold").refusals

pushed = decided = network = 0.0
session = onnxruntime.InferenceSession(folder + "/policy.onnx", providers=["CPUExecutionProvider"])
zeros = {{"observation": numpy.zeros((1, session.get_inputs()[0].shape[1]), numpy.float32)}}
later = bars[look_back:]
for k, bar in enumerate(later):
    if k == len(later) - decisions:  # the first are warm-up
        pushed = decided = network = 0.0
    pushed += cost(push, [bar])
    decided += cost(decide, [None])
    network += cost(lambda _: session.run(None, zeros), [None])
print(json.dumps({{
    "imports_s": reference[0], "start_s": opened[0], "imports_mb": reference[1], "memory_mb": used()[1],
    "look_back_s": begun, "push_ms": pushed / decisions, "decide_ms": decided / decisions,
    "network_ms": network / decisions,
}}))
"""


def written(rows: Any, time: str, path: Path) -> str:
    """A table as JSON."""
    path.write_text(json.dumps(rows.assign(**{time: rows[time].astype(str)}).to_dict("records")))
    return str(path)


def measured(folder: Path, decisions: int) -> dict[str, float]:
    """The result of the process; the bundle decides at every bar."""
    hourly = cases.CONFIG.with_(decision_interval="1h")
    bundle = export_bundle(
        cases.policy(), folder / "bundle", market=cases.market(), table=cases.table(), config=hourly,
        forecasts=cases.forecast(),
    )  # fmt: skip
    bars = cases.bar_table(cases.market())
    given = (
        str(bundle),
        written(bars, "open_time", folder / "bars.json"),
        written(cases.funding_table(cases.market()), "time", folder / "funding.json"),
        len(bars) - decisions - 100,
        decisions,
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONPYCACHEPREFIX": str(folder / "compiled"),
    }
    for _ in range(2):  # the first compiles the modules, as pip does when it installs them
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM.format(absent=ABSENT, given=given)],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--decisions", type=int, default=1_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measured(Path(folder), options.decisions)
    found["decision_ms"] = found["push_ms"] + found["decide_ms"]
    found["start_ratio"] = found["start_s"] / found["imports_s"]
    found["memory_ratio"] = found["memory_mb"] / found["imports_mb"]
    found["decision_ratio"] = found["decision_ms"] / found["network_ms"]
    print(
        f"cold start   {found['start_s']:.2f} CPU s, {found['start_ratio']:.1f} x importing numpy and onnxruntime"
    )
    print(f"look-back    {found['look_back_s']:.2f} CPU s, once")
    print(f"memory       {found['memory_mb']:.0f} MB, {found['memory_ratio']:.1f} x that of the imports")
    print(f"a decision   {found['decision_ms']:.2f} CPU ms ({found['push_ms']:.2f} the bar, {found['decide_ms']:.2f} "
          f"the decision), {found['decision_ratio']:.0f} x the network's run ({found['network_ms']:.3f})")  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
