"""What a search cannot mean is refused when the experiment is read, with the place and the rule."""

import pytest

from gearing.studies.reading import load_config

AGENT = {"algorithm": "ppo", "network": {"layers": [8, 8]}, "total_decisions": 1000}
RATE = {"parameters.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}}
REGRET = {"kind": "regret", "name": "x", "agents": {"ppo": AGENT}}
STUDY = {
    "kind": "study",
    "name": "x",
    "forecast": None,
    "columns": ["default"],
    "agents": {"ppo": {"steps": 1000}},
}


def read(search, **given):
    return load_config({**REGRET, "search": {"space": RATE, **search}, **given})


def test_a_search_that_fits_is_read_and_printed_as_yaml_that_is_read_again(tmp_path):
    space = {
        **RATE,
        "parameters.gamma": [0.9, 0.99],
        "network.activation": ["tanh", "relu"],
        "n_accounts": {"low": 8, "high": 64},
    }
    config = read({"space": space, "settings": {"validate_every": 100}})
    (tmp_path / "x.yaml").write_text(config.to_yaml())
    assert load_config(tmp_path / "x.yaml") == config
    assert config.search.agent_of(config.agents) == "ppo"


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({}, "space.*at least 1 item"),
        ({"parameters.lerning_rate": [1e-3, 1e-2]}, "parameters.lerning_rate: .*Did you mean 'learning_rate'"),
        ({"netwrk": [1, 2]}, "search.space.netwrk: .*no field 'netwrk'"),
        ({"seeds": [1, 2]}, "search.space.seeds: .*Drop it; search.seeds sets how often"),
        ({"parameters.gamma": []}, "parameters.gamma.*at least 2 item"),
        ({"parameters.gamma": [0.9]}, "parameters.gamma.*at least 2 item"),
        ({"parameters.gamma": [0.9, 0.9]}, "holds a choice twice"),
        ({"parameters.gamma": [0.9, 1.5]}, r"search.space.parameters.gamma: .*must be in \[0, 1\]"),
        ({"parameters.gamma": 0.9}, "parameters.gamma"),
        ({"parameters.gamma": {"low": 0.99, "high": 0.9}}, "low 0.99 is not less than high 0.9"),
        ({"parameters.gamma": {"low": 0.0, "high": 0.9, "log": True}}, "log needs a positive low"),
        ({"parameters.gamma": {"low": 0.1, "high": 0.9, "log": True, "step": 0.1}}, "log and step exclude each other"),
        ({"n_accounts": {"low": 1, "high": 9, "step": 0.5}}, "step 0.5 of whole numbers must be whole"),
        ({"n_accounts": {"low": 2, "high": 8, "step": 7}}, "step 7 is more than high - low, so only 2 is left"),
        ({"n_accounts": {"low": 1, "high": 10**21}}, "exceeds 9007199254740992"),
        ({"n_accounts": {"low": 0, "high": 9}}, "search.space.n_accounts: .*must be positive"),
        ({"n_accounts": {"low": 1.5, "high": 9.5}}, "search.space.n_accounts: .*n_accounts is 1.5"),
        ({"parameters.gamma": {"low": 0.1, "hgh": 0.9}}, "no field 'hgh'. Did you mean 'high'"),
        ({"network.layers": [[4], [8]]}, "network.layers is searched, and agents.ppo.network.layers sets it"),
        ({"network": [{"layers": [4]}, {"layers": [8]}]}, "agents.ppo.network.layers sets it"),
    ],
)  # fmt: skip
def test_a_search_of_what_does_not_exist_or_is_also_set_is_refused(space, message):
    with pytest.raises(ValueError, match=message) as raised:
        read({"space": space})
    assert str(raised.value).startswith("settings")


def test_a_step_as_long_as_the_range_is_no_more_than_it_by_rounding():
    # 0.3 - 0.1 is 0.19999999999999998 in floating point, a little less than the step.
    space = {"parameters.gamma": {"low": 0.1, "high": 0.3, "step": 0.2}}
    assert read({"space": space}).search.space["parameters.gamma"].step == 0.2


def test_a_search_of_a_budget_that_a_short_name_sets_is_refused():
    space = {"total_decisions": {"low": 100, "high": 1000}}
    with pytest.raises(ValueError, match=r"total_decisions is searched, and agents.ppo.steps sets it"):
        load_config({**STUDY, "search": {"space": space}})


def test_a_search_of_what_its_own_settings_set_is_refused():
    with pytest.raises(ValueError, match=r"search.settings.parameters.learning_rate sets it"):
        read({"settings": {"parameters": {"learning_rate": 1e-3}}})


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"agent": "pppo"}, "search.agent: no agent 'pppo'. Did you mean 'ppo'"),
        ({"trials": 0}, "search.trials: 0 is refused"),
        ({"settings": {"pasience": 3}}, "search.settings: .*Did you mean 'patience'"),
        ({"space": {"reward": ["log_growth", "log_groth"]}}, "search.space.reward"),
        ({"seeds": 11}, "search.seeds 11 exceeds seeds 10"),
        ({"prun": False}, "no field 'prun'. Did you mean 'prune'"),
    ],
)
def test_settings_of_a_search_are_checked(search, message):
    with pytest.raises(ValueError, match=message):
        read(search)


def test_a_search_names_its_agent_where_there_are_several():
    two = {"ppo": AGENT, "other": AGENT}
    with pytest.raises(ValueError, match="search varies one agent, and there are ppo, other"):
        read({}, agents=two)
    assert read({"agent": "other"}, agents=two).search.agent == "other"


def test_columns_rewards_and_schemes_of_a_study_can_be_searched():
    space = {
        "reward": ["log_growth", "mean_variance"],
        "columns": [["default"], ["log_return", "trend_7d"]],
        "base": [None, "tiered"],
        "interval": ["8h", "24h"],
    }
    assert load_config({**STUDY, "search": {"space": space}}).search.space["base"] == [None, "tiered"]
    with pytest.raises(ValueError, match=r"search.space.columns: .*no column 'trend_7dd'"):
        load_config({**STUDY, "search": {"space": {"columns": [["default"], ["trend_7dd"]]}}})


def test_a_search_changes_the_identity_of_an_experiment_and_its_absence_does_not():
    assert "search" not in load_config(REGRET).settings
    assert load_config(REGRET).digest != read({}).digest
    assert (
        load_config(REGRET).digest
        == load_config({**REGRET, "searched": {"agent": "ppo", "trials": 3}}).digest
    )
