import numpy as np
import pytest
from tests.agents.toy import RandomLeverage, announced_market, best_growth_per_year, toy_config
from tests.features.markets import random_market

import gearing
from gearing.agents import TrainingDiverged, agent_settings, growth_per_year, load_policy, train_agent
from gearing.agents.hyperparameter_checks import check_hyperparameters
from gearing.agents.learner import Status
from gearing.agents.sb3.learner import SB3Learner
from gearing.agents.settings import agent_names, shipped_settings
from gearing.evaluation.backtesting import backtest
from gearing.features import FeatureSet
from gearing.policies.controls import DailyLossLimit
from gearing.policies.rules import FixedLeverage
from gearing.simulation import SimulationConfig
from gearing.simulation.actions import ResidualScheme

TINY = {
    "algorithm": "ppo",
    "n_accounts": 16,
    "episode": "32d",
    "validate_every": 512,
    "checkpoint_seconds": 0,
    "network": {"layers": [8, 8]},
    "parameters": {"n_steps": 16, "batch_size": 128, "n_epochs": 4, "learning_rate": 0.01},
}
MARKET, TABLE = announced_market()
HELD_OUT = announced_market(n_days=120, seed=1)
CONFIG = toy_config()
LATER = HELD_OUT[0].replace(open_time=HELD_OUT[0].open_time + np.timedelta64(400, "D"))
VALIDATION = (LATER, HELD_OUT[1].__class__(**{**vars(HELD_OUT[1]), "open_time": LATER.open_time}))


def _fields(config):
    return {name: getattr(config, name) for name in config.__dataclass_fields__}


def weights(agent):
    return {name: tensor.numpy() for name, tensor in agent.policy.network.state_dict().items()}


def assert_same(first, second):
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


def train(**changes):
    arguments = {"seed": 3, "total_decisions": 1024, "validation": VALIDATION, **changes}
    return train_agent(
        arguments.pop("agent", TINY), MARKET, TABLE, arguments.pop("config", CONFIG), **arguments
    )


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(CONFIG, id="leverage"),
        pytest.param(
            toy_config(action=ResidualScheme(3.0, base=FixedLeverage(1.5))),
            id="residual",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_ppo_beats_a_bar_that_a_random_policy_misses(config):
    bar = 0.8 * best_growth_per_year(config)
    agent = train(config=config, total_decisions=8192)
    assert growth_per_year(agent.policy, *VALIDATION, config) > bar
    assert growth_per_year(RandomLeverage(3.0), *VALIDATION, config) < bar / 2


def test_the_same_seed_gives_the_same_weights_to_the_last_bit_and_another_seed_does_not():
    assert_same(weights(train()), weights(train()))
    one, other = weights(train()), weights(train(seed=4))
    assert any((one[name] != other[name]).any() for name in one if "weight" in name)


def test_training_leaves_the_callers_random_numbers_alone():
    np.random.seed(5)  # noqa: NPY002  the global generator is what is tested
    expected = np.random.RandomState(5).uniform(size=3)
    train(total_decisions=256)
    np.testing.assert_array_equal(np.random.uniform(size=3), expected)  # noqa: NPY002


class Killed(Exception):  # noqa: N818
    pass


def killed_after(updates):
    calls = []

    def listen(status):
        calls.append(status)
        if len(calls) == updates:
            raise Killed

    return listen


def test_a_training_killed_and_resumed_ends_with_the_weights_of_an_uninterrupted_one(tmp_path):
    whole = train()
    with pytest.raises(Killed):
        train(checkpoint_dir=tmp_path, progress=killed_after(3))
    resumed = train(checkpoint_dir=tmp_path, resume=True)
    assert_same(weights(whole), weights(resumed))
    assert [row["score"] for row in whole.history] == [row["score"] for row in resumed.history]


def test_what_rewards_and_risk_controls_remember_survives_a_kill_too(tmp_path):
    config = toy_config(reward="differential_sharpe", controls=(DailyLossLimit(0.01),))
    whole = train(config=config)
    with pytest.raises(Killed):
        train(config=config, checkpoint_dir=tmp_path, progress=killed_after(3))
    assert_same(weights(whole), weights(train(config=config, checkpoint_dir=tmp_path, resume=True)))


def test_a_kill_loses_no_more_than_the_work_since_the_last_checkpoint(tmp_path):
    with pytest.raises(Killed):
        train(checkpoint_dir=tmp_path, progress=killed_after(3))
    seen = []
    train(checkpoint_dir=tmp_path, resume=True, progress=seen.append)
    # 256 decisions an update: two are in the checkpoint, the third was told before it was written.
    assert seen[0].decisions == 3 * 256


def test_a_finished_training_resumes_to_its_own_result(tmp_path):
    whole = train(checkpoint_dir=tmp_path)
    again = train(checkpoint_dir=tmp_path, resume=True)
    assert_same(weights(whole), weights(again))
    assert again.decisions == whole.decisions


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    train(checkpoint_dir=tmp_path, total_decisions=256)
    with pytest.raises(ValueError, match=r"belongs to another training.*seed differ"):
        train(checkpoint_dir=tmp_path, resume=True, total_decisions=256, seed=9)


def test_a_damaged_checkpoint_is_refused_by_name(tmp_path):
    train(checkpoint_dir=tmp_path, total_decisions=256)
    (tmp_path / "checkpoint.pt").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"checkpoint\.pt is not a readable checkpoint.*delete it"):
        train(checkpoint_dir=tmp_path, resume=True, total_decisions=256)


@pytest.mark.parametrize("spoil", ["nothing", "another training"])
def test_a_checkpoint_that_cannot_be_used_is_renamed_where_training_may_start_anew(tmp_path, spoil, caplog):
    whole = train(total_decisions=256)
    train(checkpoint_dir=tmp_path, total_decisions=256, seed=9)
    if spoil == "nothing":
        (tmp_path / "checkpoint.pt").write_bytes(b"nothing")
    again = train(checkpoint_dir=tmp_path, resume="restart", total_decisions=256)
    assert_same(weights(whole), weights(again))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint.pt", "checkpoint.pt.damaged-1"]
    assert f"{tmp_path / 'checkpoint.pt'}" in caplog.text
    assert "training starts anew" in caplog.text


def test_the_kept_weights_are_those_of_the_best_validation():
    agent = train(total_decisions=4096)
    best = max(agent.history, key=lambda row: row["score"])
    assert agent.validation_score == best["score"]
    assert agent.best_decisions == best["decisions"]
    assert growth_per_year(agent.policy, *VALIDATION, CONFIG) == best["score"]


def test_early_stopping_ends_after_so_many_validations_without_a_better_one():
    agent = train(agent={**TINY, "patience": 2, "parameters": {**TINY["parameters"], "learning_rate": 1e-30}})
    assert agent.stopped_early
    assert agent.decisions == 1024  # nothing changes, so the validations at 512 and 1024 bring nothing
    assert agent.best_decisions == 0


def test_divergence_is_named():
    wild = {**TINY, "parameters": {**TINY["parameters"], "learning_rate": 1e30, "max_grad_norm": 1e30}}
    with pytest.raises(
        TrainingDiverged, match=r"after .* decisions .*Lower parameters\.learning_rate \(now 1e\+30\)"
    ):
        train(agent=wild)


class Journal:
    def __init__(self):
        self.rows = []

    def log_metrics(self, metrics, step):
        self.rows.append((step, dict(metrics)))


def test_metrics_carry_the_number_of_decisions_as_their_step():
    journal = Journal()
    train(run=journal)
    steps = [step for step, row in journal.rows if "train/log_growth_per_year" in row]
    assert steps == list(range(256, 1025, 256))
    assert [step for step, row in journal.rows if "validation/log_growth_per_year" in row] == [0, 512, 1024]


def test_a_saved_policy_decides_as_before_in_a_backtest(tmp_path):
    agent = train()
    loaded = load_policy(agent.policy.save(tmp_path / "policy"))
    settings = {name: getattr(CONFIG, name) for name in ("max_leverage", "margin_share", "slippage")}
    first, second = (backtest(p, LATER, VALIDATION[1], **settings) for p in (agent.policy, loaded))
    np.testing.assert_array_equal(first.target, second.target)
    assert first.equity[-1] == second.equity[-1]


def test_a_damaged_policy_is_refused_by_its_file_and_a_pickle_in_it_is_not_run(tmp_path):
    class Runs:
        def __reduce__(self):
            return open, (str(tmp_path / "ran"), "w")

    folder = train(total_decisions=256).policy.save(tmp_path / "policy")
    whole = {path: path.read_bytes() for path in folder.iterdir()}
    for name, content in (
        ("policy.json", b"{}"),
        ("policy.json", b"[1"),
        ("weights.npz", b"PK"),
        ("weights.npz", b""),
    ):
        (folder / name).write_bytes(content)
        with pytest.raises(ValueError, match=name):
            load_policy(folder)
        (folder / name).write_bytes(whole[folder / name])
    np.savez(folder / "weights.npz", x=np.array([Runs()], object))
    with pytest.raises(ValueError, match=r"weights\.npz is damaged, or not of this policy"):
        load_policy(folder)
    assert not (tmp_path / "ran").exists()


def test_a_policy_finds_its_columns_in_a_wider_table_and_refuses_one_that_lacks_them():
    agent = train()
    table = VALIDATION[1]
    wider = table.join("extra", np.zeros(120), lower=-1.0, upper=1.0).select(["extra", "noise", "tomorrow"])
    assert growth_per_year(agent.policy, LATER, wider, CONFIG) == growth_per_year(
        agent.policy, LATER, table, CONFIG
    )
    with pytest.raises(ValueError, match="tomorrow"):
        growth_per_year(agent.policy, LATER, table.select(["noise"]), CONFIG)


def test_scaling_is_fitted_on_the_training_span_only():
    agent = train(total_decisions=256)
    centre = agent.policy.description.network["scaling"]["centre"]
    assert centre[1] == pytest.approx(np.median(TABLE.values[:, 0, 1]))


def test_validation_that_overlaps_training_is_refused():
    with pytest.raises(ValueError, match=r"overlaps training.*market\.split"):
        train(validation=HELD_OUT)


def test_validation_on_the_same_synthetic_path_is_refused_and_on_another_path_is_not():
    path = gearing.synthetic_market("market-b", seed=1, years=0.2)
    config, columns = toy_config(start="random"), FeatureSet(["log_return"])

    def trained(market):
        held_out = market, columns.compute(market)
        return train_agent(
            TINY, path, columns.compute(path), config, seed=3, total_decisions=256, validation=held_out
        )

    with pytest.raises(ValueError, match="overlaps training"):
        trained(path.between(start=path.open_time[100]))
    assert trained(gearing.synthetic_market("market-b", seed=2, years=0.1)).validation_score is not None


def test_an_unknown_setting_names_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'n_accounts'"):
        agent_settings("ppo", n_acounts=3)
    with pytest.raises(ValueError, match="Did you mean 'learning_rate'"):
        train(agent={**TINY, "parameters": {"lerning_rate": 1.0}})
    with pytest.raises(ValueError, match="Did you mean 'ppo'"):
        agent_settings("pppo")


def test_exploration_falls_as_set_over_the_budget():
    sizes = []

    class Watched(SB3Learner):
        def update(self):
            told = super().update()
            sizes.append(float(self.model.rollout_buffer.actions.std()))
            return told

    settings = agent_settings(
        TINY, total_decisions=2048, exploration=[0.4, 0.01], parameters={"learning_rate": 0.0}
    )
    learner = Watched(settings, [MARKET], [TABLE], CONFIG.with_(episode_length="32d"), 3, 2048, {})
    while learner.decisions < 2048:
        learner.update()
    assert sizes[0] == pytest.approx(
        0.4, rel=0.15
    )  # 256 draws; the mean hardly differs between states at first
    assert sizes[4] == pytest.approx(np.sqrt(0.4 * 0.01), rel=0.2)  # the geometric middle
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize(("exploration", "message"), [([0.4], "two positive"), ([0.4, 0.0], "two positive")])
def test_exploration_is_two_positive_sizes(exploration, message):
    with pytest.raises(ValueError, match=message):
        agent_settings(TINY, exploration=exploration)


def test_exploration_is_refused_where_nothing_draws_from_it():
    settings = {
        "algorithm": "sac",
        "n_accounts": 16,
        "exploration": [0.4, 0.1],
        "parameters": {"buffer_size": 512},
    }
    with pytest.raises(ValueError, match="sac with LeverageScheme explores otherwise"):
        train(agent=settings)


@pytest.mark.parametrize(("direction", "sign"), [("long", 1.0), ("free", 1.0), ("short", -1.0)])
def test_an_untrained_policy_holds_about_the_leverage_that_it_starts_at(direction, sign):
    config = toy_config(direction=direction).with_(action="leverage")
    settings = agent_settings(TINY, network={"start_leverage": 0.3})
    learner = SB3Learner(settings, [MARKET], [TABLE], config.with_(episode_length="32d"), 3, 2048, {})
    played = backtest(learner.policy, *HELD_OUT, **_fields(config))
    held = played.leverage[: played.end, 0]
    # A share of 0.5 and up to 3x of it; the network's own answer is near nothing before training.
    np.testing.assert_allclose(held, sign * 0.3, atol=0.06)


@pytest.mark.parametrize(
    ("config", "start", "message"),
    [
        (toy_config(action="tiers"), 0.3, "with action 'leverage'; this is ppo with TierScheme"),
        (toy_config(), 1.6, r"a leverage of 3.2 on the margin; it must be in \[0, 3\]"),
    ],
)
def test_a_start_that_an_agent_cannot_make_is_refused(config, start, message):
    with pytest.raises(ValueError, match=message):
        train(agent={**TINY, "network": {"layers": [8, 8], "start_leverage": start}}, config=config)


def test_no_time_is_left_once_the_budget_is_spent():
    # a batch of 64 may end beyond a budget of 1,000 decisions
    assert Status(1024, 1000, 100.0).seconds_left == 0.0
    assert Status(900, 1000, 100.0).seconds_left == 1.0


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"reward": "drawdown_aware"}, "follows the gradient of log growth alone"),
        ({"action": "tiers", "direction": "long"}, "a band of leverage of its own"),
    ],
)
def test_the_differentiable_agent_refuses_what_it_would_ignore(changes, says):
    of = random_market(n_bars=24 * 40, n_contracts=1, seed=4)
    known = FeatureSet(["log_return"]).compute(of)
    with pytest.raises(ValueError, match=says):
        train_agent("differentiable", of, known, SimulationConfig(**changes), seed=0, total_decisions=64)


PPO = {"algorithm": "ppo"}
OTHER = random_market(n_bars=24 * 40, n_contracts=1, seed=5)
WRONG = {
    "a table of another market": ({"market": OTHER}, ValueError, "bars, contracts and prices must agree"),
    "names for a table": ({"table": ["log_return"]}, TypeError, "FeatureSet"),
    "text for a market": ({"market": "BTCUSDT"}, TypeError, "MarketData"),
    "a mapping for settings": ({"config": {"direction": "long"}}, TypeError, "SimulationConfig"),
    "text for a seed": ({"seed": "a"}, TypeError, "whole number"),
    "a number for an agent": ({"agent": 5}, TypeError, "give a name"),
    "a mistyped parameter": ({"agent": PPO | {"parameters": {"learning_rat": 1}}}, ValueError, "learning_rate"),
    "a mistyped network": ({"agent": PPO | {"network": {"layer": [8]}}}, ValueError, "layers"),
    "a list of parameters": ({"agent": PPO | {"parameters": [1]}}, TypeError, "must be a mapping"),
}  # fmt: skip
# Algorithm, section, name, value, and what is said of it.
UNUSABLE = [
    ("ppo", "parameters", "learning_rate", "fast", "it must be a number, or a text such as 'linear_0.002'"),
    (
        "ppo",
        "parameters",
        "learning_rate",
        "linear_fast",
        "it must be a number, or a text such as 'linear_0.002'",
    ),
    ("ppo", "parameters", "learning_rate", -0.1, "it must be positive"),
    ("ppo", "parameters", "learning_rate", float("nan"), "a finite number"),
    ("ppo", "parameters", "n_steps", 2.5, "it must be a whole number"),
    ("ppo", "parameters", "n_epochs", True, "it must be a whole number"),
    ("ppo", "parameters", "batch_size", 1, "at least 2"),
    ("ppo", "parameters", "gamma", 1.5, r"in \[0, 1\]"),
    ("ppo", "parameters", "gamma", "linear_0.9", "it must be a number"),
    ("ppo", "parameters", "normalize_advantage", "yes", "true or false"),
    ("ppo", "parameters", "clip_range_vf", "x", "it must be a number, .* or null"),
    ("sac", "parameters", "ent_coef", "high", "'auto' or a text such as 'auto_0.1'"),
    ("dqn", "parameters", "train_freq", "daily", "it must be a whole number, or a list"),
    ("ppo", "network", "layers", 32, "a list of layer widths"),
    ("ppo", "network", "layers", [32, "x"], "a list of layer widths"),
    ("ppo", "network", "layers", [0], "a list of layer widths"),
    ("ppo", "network", "activation", "foo", "it must be one of tanh"),
    ("ppo", "network", "activation", ["tanh"], "it must be one of tanh"),
    ("ppo", "network", "log_std_init", "low", "it must be a number"),
    ("ppo", "network", "start_leverage", "two", "it must be a number, or null"),
    ("ppo", "network", "optimizer_class", "Adam", "a class"),
    ("recurrent_ppo", "network", "lstm_hidden_size", 0, "it must be positive"),
    ("differentiable", "network", "layers", 32, "a list of layer widths"),
    ("differentiable", "network", "memory", -1, "must not be negative"),
    ("differentiable", "parameters", "n_steps", "many", "it must be a whole number"),
    ("differentiable", "parameters", "budget_horizon", "a month", "duration"),
]


@pytest.mark.parametrize(("changes", "error", "says"), WRONG.values(), ids=WRONG.keys())
def test_a_training_refuses_what_cannot_be_meant(changes, error, says):
    of = random_market(n_bars=24 * 40, n_contracts=1, seed=4)
    given = {"agent": "ppo", "market": of, "table": FeatureSet(["log_return"]).compute(of)}
    given |= {"config": SimulationConfig(), "seed": 0, **changes}
    with pytest.raises(error, match=says):
        train_agent(**given, total_decisions=64)


@pytest.mark.parametrize(("algorithm", "section", "name", "value", "says"), UNUSABLE)
def test_a_hyper_parameter_of_another_type_or_outside_its_range_is_refused(
    algorithm, section, name, value, says
):
    with pytest.raises((TypeError, ValueError), match=says) as refusal:
        check_hyperparameters(agent_settings(algorithm, **{section: {name: value}}))
    assert str(value) in str(refusal.value) or value != value


@pytest.mark.parametrize("algorithm", agent_names())
def test_hyper_parameters_that_ship_can_be_used(algorithm):
    for task in (None, *shipped_settings(algorithm).get("tasks", {})):
        check_hyperparameters(agent_settings(algorithm, task=task))


def test_schedules_and_automatic_entropies_can_be_used():
    check_hyperparameters(
        agent_settings("ppo", parameters={"learning_rate": "linear_2e-3", "target_kl": None})
    )
    check_hyperparameters(agent_settings("sac", parameters={"ent_coef": "auto", "train_freq": [4, "step"]}))
