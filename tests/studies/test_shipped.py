"""Every experiment that ships runs to its end: shrunk to a generated market, few decisions and two seeds."""

import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from gearing.market import synthetic_market
from gearing.market.history.writing import write_market
from gearing.studies.reading import load_config
from gearing.studies.runner import run_study

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
SHIPPED = sorted(path.relative_to(EXPERIMENTS).as_posix() for path in EXPERIMENTS.rglob("*.yaml"))
# What runs in a few seconds even next to other tests; everything else is marked slow.
QUICK = {"sweep.yaml", "crash_replay.yaml", "leverage_risk.yaml", "margin_modes.yaml"}
PATHS = {"seed": 0, "years": 3, "count": 1}
# By kind: what its runs are cut to. A generated market begins on 2020-01-01, before the crashes that are replayed.
SMALL = {
    "study": {"folds": {"train": "90d", "validate": "30d", "test": "40d", "count": 1}, "seeds": 2, "shifts": 3},
    "regret": {
        "train": PATHS, "validate": PATHS | {"seed": 500}, "test": PATHS | {"seed": 900}, "seeds": 2,
    },
    "forecast": {"choose_before": "2020-10-01", "schedule": {"train": "120d"}, "confidence_set": {"replications": 100}},
    "sweep": {"train": "120d", "test": "60d", "replications": 100},
    "market_a_answers": {"years": 400},
    "methods": {"replications": 100, "shifts": 3, "appetites": [2.0], "horizon": "60d"},
    "case_study": {"replications": 100, "shifts": 3, "margin_shares": [0.1], "rebalancing": ["every_decision"]},
    "leverage_risk": {"replications": 100, "leverages": [2.0, 10.0], "horizons": ["1d", "30d"]},
    "margin_modes": {"replications": 100, "leverages": [3.0, 10.0]},
    "funding_erosion": {"replications": 100, "leverages": [3.0, 10.0]},
    "reference_ablation": {"replications": 100},
    "crash_replay": {"replications": 100},
    "portfolio": {
        "test": {"from": "2020-10-01", "every": "180d"}, "resamples": 50, "statistics": {"replications": 100},
        "budget": [0.2], "variants": {},  # three contracts are too few for halves and drops
    },
    "known_book": {"history": [1.0], "years": 1.5, "markets": 1, "seeds": 2},
    "crash_stress": {"paths": 2, "years": 0.6},
}  # fmt: skip
AGENT = {"total_decisions": 512, "n_accounts": 8, "validate_every": 256, "episode": "20d", "seeds": 2}
CONTRACTS = ("BTCUSDT", "ETHUSDT", "ADAUSDT")


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """A data folder of generated history from 2020 on."""
    folder = tmp_path_factory.mktemp("history")
    write_market(synthetic_market("market-b", seed=3, years=1.6, contracts=CONTRACTS), folder)
    tier = {"min_notional": 0.0, "max_notional": 1e8, "max_leverage": 125.0, "maintenance_margin_rate": 0.004}
    tiers = {symbol: [tier | {"maintenance_amount": 0.0}] for symbol in CONTRACTS}
    (folder / "brackets.json").write_text(json.dumps(tiers))
    return folder


def shrunk(name, folder, history):
    """The experiment's own file with less data, fewer decisions and seeds."""
    raw = OmegaConf.to_container(OmegaConf.load(EXPERIMENTS / name), resolve=False)
    settings = smaller(raw, history) | {"output": str(folder), "tracking": {"enabled": False}}
    for act, own in raw.get("acts", {}).items():
        settings["acts"][act] = smaller(own, history)
    path = folder / Path(name).name
    OmegaConf.save(settings, path)
    return path


def smaller(raw, history):
    """The settings of an experiment, or of an act of one, with less of everything."""
    kind = raw.get("kind", "study")
    settings = {**raw, **SMALL.get(kind, {})}
    if "shifts" in settings and not raw.get("shifts", kind != "study"):
        del settings["shifts"]  # of studies with groups alone
    if isinstance(raw.get("market"), dict) and "folder" in raw["market"]:
        settings["market"] = {k: v for k, v in raw["market"].items() if k not in ("from", "to")}
        settings["market"] |= {"years": 1.0} if raw["market"]["folder"] is None else {"folder": str(history)}
    if isinstance(settings.get("forecast"), dict):
        settings["forecast"]["train"] = "120d"
    if isinstance(settings.get("search"), dict):
        shrink_search(settings)
    else:
        for agent in settings.get("agents", {}).values():
            shrink_agent(agent)
    return settings


def shrink_search(settings):
    """Two drawings of few decisions, on the year of validation that history needs at least."""
    small = {name: value for name, value in AGENT.items() if name not in ("seeds", "episode")}
    (agent,) = settings["agents"].values()
    for name in small:
        agent.pop(name, None)
    own = {name: value for name, value in small.items() if name not in settings["search"]["space"]}
    settings["search"] |= {"trials": 2, "settings": own}
    if "folds" in settings:
        settings["folds"] = {"train": "90d", "validate": "75d", "test": "30d", "count": 5}


def shrink_agent(agent):
    """Few decisions; the agent's own settings stay."""
    agent.pop("steps", None)
    agent |= {key: value for key, value in AGENT.items() if key != "seeds" or "seeds" in agent}
    agent.get("network", {}).pop("members", None)
    if agent["algorithm"] == "ppo":
        agent["parameters"] = agent.get("parameters", {}) | {"n_steps": 16, "batch_size": 64}
    if "pretrain" in agent:
        agent["pretrain"] |= {"years": 2, "decisions": 256}
    if agent.get("interval") == "7d":
        agent["episode"] = "21d"


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in SHIPPED]
)
def test_an_experiment_that_ships_runs_to_its_end(name, tmp_path, history):
    done = run_study(shrunk(name, tmp_path, history))
    assert done.findings.line
    assert done.summary
    report = (done.folder / "report.md").read_text(encoding="utf-8")
    for heading in ("## What can be concluded", "## What cannot be concluded"):
        assert report.partition(heading)[2].lstrip().startswith("* ")  # at least one sentence
    assert all(not table.empty for table in done.findings.tables.values())


@pytest.mark.parametrize("name", SHIPPED)
def test_an_experiment_that_ships_is_valid(name):
    assert load_config(EXPERIMENTS / name).to_yaml()
