"""Workers of a study that are killed: trials go on from their checkpoints, and the tables are the same bytes."""

import pytest

from gearing.agents.checkpoints import CheckpointFolder
from gearing.studies.reading import load_config
from gearing.studies.runner import run_study

# Kills the process of a training of seed 0 after every second checkpoint that it writes, twice in all.
DEADLY = """\
import os
import signal
from pathlib import Path

from gearing.agents.checkpoints import CheckpointFolder

KILLS = Path(__file__).with_name("kills")
write, written = CheckpointFolder.write, []


def deadly(self, state):
    write(self, state)
    if "-seed0-" not in str(self.path):
        return
    written.append(None)
    if len(written) == 2 and KILLS.exists() and KILLS.stat().st_size < 2:
        with KILLS.open("a") as file:
            file.write(".")
        os.kill(os.getpid(), signal.SIGKILL)


CheckpointFolder.write = deadly
"""
STUDY = """\
market: {seed: 2, years: 2}
folds: {train: 200d, validate: 60d, test: 90d, count: 1}
decision: {max_leverage: 20, margin_share: 0.5}
forecast: null
rules: [fixed_1x]
agents:
  ppo:
    algorithm: ppo
    columns: [default]
    steps: 4096
    envs: 16
    episode_length: 30d
    settings:
      {checkpoint_seconds: 0, validate_every: 1024, parameters: {n_steps: 32, batch_size: 256, n_epochs: 1}}
seeds: 2
tracking: {enabled: false}
"""


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    path = tmp_path_factory.mktemp("plugin") / "deadly.py"
    path.write_text(DEADLY)
    usual = CheckpointFolder.write
    yield path
    CheckpointFolder.write = usual  # the plugin is imported in this process, too


def run(folder, plugin, *overrides):
    (folder / "study.yaml").write_text(STUDY)
    more = [f"output={folder / 'runs'}", f"plugins=[{plugin}]", *overrides]
    done = run_study(load_config(folder / "study.yaml", more))
    assert done.failed.empty
    return (done.folder / "leaderboard.csv").read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory, plugin):
    """The leaderboard of a study that ran in one process and was not disturbed."""
    return run(tmp_path_factory.mktemp("whole"), plugin)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", "ray"])
def test_a_study_of_which_half_the_workers_are_killed_twice_writes_the_same_leaderboard(
    tmp_path, plugin, whole, engine
):
    if engine == "ray":
        pytest.importorskip("ray", reason="the engine ray needs the extra 'cluster'")
    kills = plugin.with_name("kills")
    kills.write_text("")
    try:
        # Two trainings side by side, each of 8 updates: that of seed 0 is killed after its 2nd and 4th checkpoint.
        assert run(tmp_path, plugin, f"engine={engine}", "jobs=2") == whole
        assert kills.read_text() == ".."
    finally:
        kills.unlink()
