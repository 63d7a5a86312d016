"""Jobs run side by side in every engine; a process that is killed takes no other job with it."""

import os
import time

import pytest
from tests.kills.processes import die

from gearing.studies.engines.cluster import RayEngine
from gearing.studies.engines.engine import run_jobs
from gearing.studies.engines.local import LocalEngine


def ray_engine():
    pytest.importorskip("ray", reason="the engine ray needs the extra 'cluster'")
    return RayEngine(2, None)


ENGINES = [lambda: LocalEngine(2), pytest.param(ray_engine, marks=pytest.mark.slow)]


def begun_before(folder, job):
    """How often a job was begun before now."""
    path = folder / f"{job}.begun"
    count = path.stat().st_size if path.exists() else 0
    with path.open("a") as file:
        file.write(".")
    return count


class Work:
    """Squares numbers; the process of an odd one is killed twice, that of a negative one always."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, job):
        if job < 0 or (job % 2 and begun_before(self.folder, job) < 2):
            die()
        return job**2, os.getpid()


@pytest.fixture(params=ENGINES)
def engine(request):
    made = request.param()
    yield made
    made.close()


def test_jobs_whose_process_was_killed_run_again_and_the_others_are_not_disturbed(engine, tmp_path):
    begun = []
    found = {
        one.number: one for one in run_jobs(engine, Work(tmp_path), [0, 1, 2, 3, -4, 5], 3, begun.append)
    }
    assert [found[k].returned[0] for k in (0, 1, 2, 3, 5)] == [0, 1, 4, 9, 25]
    assert found[4].returned is None
    # An odd one begins three times, the negative one until it is given up, an even one once.
    assert [begun.count(k) for k in range(6)] == [1, 3, 1, 3, 3, 3]
    assert [found[k].vanished for k in range(6)] == [0, 2, 0, 2, 3, 2]


def slow(job):
    time.sleep(60.0)


def test_closing_an_engine_ends_what_it_runs(tmp_path):
    engine = LocalEngine(2)
    engine.submit(engine.share(slow), 0)
    began = time.monotonic()
    engine.close()
    assert time.monotonic() - began < 30.0
