"""One trial, one process: claims of living processes hold, those of dead ones are taken over."""

import os
import time

import pytest
from tests.kills.processes import FORK, die, forked, waited

from gearing.studies import claims as module
from gearing.studies.claims import Claims


def test_a_claimed_trial_is_free_again_when_its_block_ends(tmp_path):
    with Claims(tmp_path).take("trial") as mine:
        assert mine
        assert not Claims(tmp_path).is_free("trial")
        assert Claims(tmp_path).is_free("another trial")
    assert Claims(tmp_path).is_free("trial")
    assert list(tmp_path.iterdir()) == []


def test_a_claim_holds_while_its_process_lives_and_not_a_moment_longer(tmp_path):
    def hold():
        with Claims(tmp_path).take("trial"):
            time.sleep(60)

    holder = FORK.Process(target=hold)
    holder.start()
    waited(lambda: list(tmp_path.glob("*.claim")))
    mine = Claims(tmp_path)
    assert not mine.is_free("trial")
    holder.kill()
    waited(lambda: mine.is_free("trial"), seconds=20)  # though its parent has not asked for its exit code yet
    holder.join()


def test_a_process_killed_while_it_claims_leaves_nothing_that_holds(tmp_path):
    def claim_and_die():
        with Claims(tmp_path).take("trial"):
            die()

    assert forked(claim_and_die) == -9
    mine = Claims(tmp_path)
    waited(lambda: mine.is_free("trial"), seconds=20)


def test_the_claim_of_another_machine_is_taken_over_when_it_is_not_renewed(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LEASE_SECONDS", 0.5)
    with Claims(tmp_path).take("trial"):
        (path,) = tmp_path.glob("*.claim")
        there = path.read_text().replace(os.uname().nodename, "another-machine")
    path.write_text(there)
    mine = Claims(tmp_path)
    began = time.monotonic()
    waited(lambda: mine.is_free("trial"), seconds=10)
    assert time.monotonic() - began >= 0.5


@pytest.mark.parametrize("content", [b"", b"\0\xff", b"{}", b"1234"])
def test_a_damaged_claim_holds_nobody_up_for_long(tmp_path, content):
    path = tmp_path / ".trial.claim"
    path.write_bytes(content)
    os.utime(path, (time.time() - 60, time.time() - 60))
    mine = Claims(tmp_path)
    waited(lambda: mine.is_free("trial"), seconds=20)
