"""Which agent is exported, and where to: no agent's bundle replaces another's."""

import pytest

from gearing.studies.study.config import load_study
from gearing.studies.study.exporting.export import export_from_folder
from gearing.studies.study.exporting.places import inputs_of, place

AGENT = {"algorithm": "ppo", "action": "residual", "base": "volatility_weighted"}


def study(*agents, **settings):
    return load_study(
        {"name": "some", "rules": ["fixed_1x"], "agents": dict.fromkeys(agents, AGENT), **settings}
    )


def stored(config, folder):
    (folder / "experiment.yaml").write_text(config.to_yaml())
    return folder


def test_every_agent_has_a_folder_of_its_own(tmp_path):
    config = study("one", "two", export="one")
    assert place(config, "one", tmp_path) == tmp_path / "bundle"
    assert place(config, "two", tmp_path) == tmp_path / "bundle-two"
    assert inputs_of(tmp_path / "bundle-two") == tmp_path / "decide-two"
    assert inputs_of(tmp_path / "bundle") == tmp_path / "decide"
    undecided = study("one", "two")
    assert [place(undecided, name, tmp_path).name for name in ("one", "two")] == ["bundle-one", "bundle-two"]
    assert place(study("one"), "one", tmp_path) == tmp_path / "bundle"


def test_a_bundle_of_an_agent_that_was_exported_before_stays(tmp_path):
    # The same folder serves a study whose ``export`` changes: its results do not depend on that.
    (tmp_path / "bundle").mkdir()
    manifest = tmp_path / "bundle" / "manifest.json"
    manifest.write_text('{"name": "some-one"}')
    assert place(study("one", "two", export="one"), "one", tmp_path).name == "bundle"
    assert place(study("one", "two", export="two"), "two", tmp_path).name == "bundle-two"
    manifest.write_text("{damaged")
    assert place(study("one", "two", export="two"), "two", tmp_path).name == "bundle"


@pytest.mark.parametrize(
    "name", ["../../esc", "a/b", "", ".", "..", "x\x00", "nul", ".hidden", "-x", "x" * 101]
)
def test_a_study_whose_name_leads_elsewhere_is_refused(name):
    with pytest.raises(ValueError, match="cannot name a file or a folder"):
        load_study({"name": name, "rules": ["fixed_1x"]})


def test_an_agent_whose_name_leads_elsewhere_gets_no_bundle(tmp_path):
    with pytest.raises(ValueError, match="cannot name a file or a folder"):
        place(study("one", "../../x"), "../../x", tmp_path)


def test_a_study_without_agents_has_none_to_export(tmp_path):
    with pytest.raises(ValueError, match="this study trained no agent, so there is none to export"):
        export_from_folder(stored(study(), tmp_path))


def test_of_several_agents_one_must_be_chosen(tmp_path):
    folder = stored(study("one", "two"), tmp_path)
    with pytest.raises(ValueError, match="trained several agents; choose one with --agent: one, two"):
        export_from_folder(folder)
    with pytest.raises(
        ValueError, match="agent 'three' is not in this study; choose one with --agent: one, two"
    ):
        export_from_folder(folder, "three")
