"""Workers of a study that are killed: trials go on from their checkpoints, and the tables are the same bytes."""

import pytest

from gearing.studies.reading import load_config
from gearing.studies.runner import run_study

# A reward that kills its process in the second half of a training, as often as there are lines in a file.
DEADLY = '''\
import os
import signal
from pathlib import Path

from gearing.simulation.rewards import Stateless, reward

KILLS = Path(__file__).with_name("kills")


@reward("deadly")
class Deadly(Stateless):
    """Log growth."""

    def __init__(self):
        self.calls = 0

    def __call__(self, steps, drawdown):
        self.calls += 1
        if self.calls == 100 and KILLS.exists():
            left = KILLS.read_text()
            if left:
                KILLS.write_text(left[1:])
                os.kill(os.getpid(), signal.SIGKILL)
        return steps.log_growth.copy()
'''
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
    reward: deadly
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
    path = tmp_path_factory.mktemp("plugin") / "deadly_reward.py"
    path.write_text(DEADLY)
    return path


def run(folder, plugin, kills, *overrides):
    plugin.with_name("kills").write_text("." * kills)
    (folder / "study.yaml").write_text(STUDY)
    more = [f"output={folder / 'runs'}", f"plugins=[{plugin}]", *overrides]
    done = run_study(load_config(folder / "study.yaml", more))
    assert plugin.with_name("kills").read_text() == ""
    assert done.failed.empty
    return (done.folder / "leaderboard.csv").read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory, plugin):
    """The leaderboard of a study that ran in one process and was not disturbed."""
    return run(tmp_path_factory.mktemp("whole"), plugin, 0)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", "ray"])
def test_a_study_whose_workers_are_killed_writes_the_same_leaderboard(tmp_path, plugin, whole, engine):
    if engine == "ray":
        pytest.importorskip("ray", reason="the engine ray needs the extra 'cluster'")
    # Two trainings of two seeds side by side; each of the kills meets one of them, no training more than three times.
    assert run(tmp_path, plugin, 2, f"engine={engine}", "jobs=2") == whole
