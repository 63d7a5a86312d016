"""Warnings of stable-baselines3 are one line each, once in a process, and name the settings."""

import logging
import warnings

import pytest

from gearing.agents.sb3.messages import in_one_line
from gearing.agents.settings import agent_settings


@pytest.fixture
def settings():
    return agent_settings("ppo", n_accounts=250, parameters={"n_steps": 16, "batch_size": 1500})


def said(caplog, settings, text, category=UserWarning):
    caplog.clear()
    with caplog.at_level(logging.WARNING), warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing of the library reaches a user
        with in_one_line(settings):
            warnings.warn(text, category, stacklevel=1)
    return caplog.messages


def test_batches_that_do_not_divide_an_update_are_named_once(caplog, settings):
    text = "after every 2 untruncated mini-batches,\n there will be a truncated mini-batch of size 1000"
    # 16 steps of 250 accounts are 4,000 decisions: two batches of 1,500 and one of 1,000.
    assert said(caplog, settings, text) == [
        "ppo: batch_size 1,500 does not divide the 4,000 decisions of an update (n_steps 16 x n_accounts 250), so the "
        "last batch of each pass has 1,000. Choose a divisor for equal batches."
    ]
    assert said(caplog, settings, text) == []


def test_other_warnings_are_one_line_and_those_for_programmers_are_dropped(caplog, settings):
    assert said(caplog, settings, "two\nlines of\n  it") == ["ppo: two lines of it"]
    assert said(caplog, settings, "old", DeprecationWarning) == []
