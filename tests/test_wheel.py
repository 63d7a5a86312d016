"""The built wheel works outside the repository: data files inside, caches where it may write."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

SCRIPT = """
import gearing
from gearing.exchange.engine import batch

assert "site" in gearing.__file__, gearing.__file__
market = gearing.synthetic_market("market-b", seed=1, years=1)
result = gearing.backtest(gearing.rules.FixedLeverage(3), market)
print(result.table.to_string())
study = gearing.run_study("study.yaml", ["output=runs"])
print(study.table.to_string())
print(study.decision)
print("CACHE HITS", sum(batch.advance.stats.cache_hits.values()))
"""
STUDY = """\
# Does an installed wheel run a study?
market: {seed: 1, years: 2}
folds: {train: 200d, validate: 60d, test: 60d, count: 1}
forecast: null
rules: [fixed_1x]
agents:
  ppo: {base: volatility_weighted, columns: [default], steps: 1024, envs: 16,
        settings: {parameters: {n_steps: 32, batch_size: 256, n_epochs: 1}}}
seeds: 1
export: ppo
tracking: {enabled: false}
"""


def test_the_source_distribution_holds_all_that_make_and_the_tests_read():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("needs a git checkout, whose files are listed")
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    included = settings["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    always = ("/pyproject.toml", "/.gitignore")  # which hatchling adds itself
    missing = [
        name for name in listed.stdout.splitlines()
        if not any(f"/{name}" == part or f"/{name}".startswith(f"{part}/") for part in (*included, *always))
    ]  # fmt: skip
    assert missing == []
    assert "/.ci" in included  # `make venv` runs .ci/install


@pytest.mark.slow
def test_an_installed_wheel_backtests_studies_and_decides(tmp_path):
    run = {"check": True, "capture_output": True, "text": True}
    site, cache = tmp_path / "site", tmp_path / "cache"
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "-w", str(tmp_path), str(ROOT)], **run
    )
    wheel = next(tmp_path.glob("gearing-*.whl"))
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--no-deps", "--quiet", "--target", str(site), str(wheel)],
        **run,
    )
    (tmp_path / "study.yaml").write_text(STUDY)
    environment = {**os.environ, "PYTHONPATH": str(site), "NUMBA_CACHE_DIR": str(cache)}
    # The first process compiles, the second must find its work on disk.
    for expected in ("CACHE HITS 0", "CACHE HITS 1"):
        answer = subprocess.run([sys.executable, "-c", SCRIPT], cwd=tmp_path, env=environment, **run)
        assert "fixed_1x" in answer.stdout
        assert "target leverage" in answer.stdout
        assert expected in answer.stdout
