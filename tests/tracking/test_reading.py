"""Runs are found again by what was logged about them."""

from gearing.tracking import Tracker, find_runs, reading


def test_finished_runs_are_found_by_their_parameters_the_newest_first(uri):
    tracker = Tracker(uri, "leverage", interval=60.0)
    for number, agent in enumerate(("ppo", "sac", "ppo")):
        with tracker.run(f"trial-{number}") as run:
            run.log_params({"agent": agent, "seed": number})
            run.log_metrics({"growth": 0.1 * number})
    with tracker.run("trial-3") as run:
        run.log_params({"agent": "ppo", "seed": 3})
        tracker.flush()
        found = find_runs("leverage", uri, agent="ppo")
    tracker.close()
    assert [(params["seed"], metrics["growth"]) for params, metrics in found] == [("2", 0.2), ("0", 0.0)]


def test_where_nothing_was_tracked_nothing_is_found(uri, tmp_path):
    assert find_runs("leverage", f"sqlite:///{tmp_path / 'absent.db'}") == []
    assert find_runs("another experiment", uri) == []


def test_runs_are_found_beyond_the_first_page_of_the_tracker(uri, monkeypatch):
    monkeypatch.setattr(reading, "_PAGE", 2)  # MLflow answers with at most 50,000 runs at once
    tracker = Tracker(uri, "leverage", interval=60.0)
    for number in range(5):  # three pages
        with tracker.run(f"trial-{number}") as run:
            run.log_params({"seed": number})
    tracker.close()
    assert [params["seed"] for params, _ in find_runs("leverage", uri)] == ["4", "3", "2", "1", "0"]
