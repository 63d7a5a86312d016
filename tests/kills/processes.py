"""Processes that are killed: copies of the test's own process, which has imported everything, so many are cheap."""

import multiprocessing
import os
import signal
import time
from unittest import mock

FORK = multiprocessing.get_context("fork")


def die(*given, **settings):
    """End this process as the system does when memory is short: nothing is flushed, nothing is closed."""
    os.kill(os.getpid(), signal.SIGKILL)


def forked(action, killed_after=None):
    """Exit code of a copy of this process that does something: 0, 1 after an exception, -9 if it was killed.

    Parameters
    ----------
    action : callable
    killed_after : float, optional
        Seconds after which it is killed from outside.
    """
    child = FORK.Process(target=action)
    child.start()
    if killed_after is not None:
        child.join(killed_after)
        if child.is_alive():
            os.kill(child.pid, signal.SIGKILL)
    child.join()
    return child.exitcode


def forked_at_once(actions):
    """Exit codes of several copies that run side by side."""
    children = [FORK.Process(target=action) for action in actions]
    for child in children:
        child.start()
    for child in children:
        child.join()
    return [child.exitcode for child in children]


def waited(condition, seconds=60.0):
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the condition did not come to hold")
        time.sleep(0.01)


def returned(action):
    """What a copy of this process returns; its threads and open databases end with it."""
    receiver, sender = FORK.Pipe(duplex=False)
    child = FORK.Process(target=lambda: sender.send(action()))
    child.start()
    sender.close()
    found = receiver.recv()
    child.join()
    return found


def killed_at(owner, name, number, after):
    """A context in which the process dies before or after it takes a step for the given time."""
    usual, calls = getattr(owner, name), []

    def step(*given, **settings):
        calls.append(None)
        if len(calls) == number and not after:
            die()
        result = usual(*given, **settings)
        if len(calls) == number:
            die()
        return result

    return mock.patch.object(owner, name, step)


def aimed(action, step, number, after):
    """Run an action that dies at a step."""
    with killed_at(*step, number, after):
        action()
