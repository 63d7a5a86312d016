"""Which agent is exported, and where to: no agent's bundle replaces another's."""

from dataclasses import dataclass, replace

import pytest

from gearing.forecasters.register import forecaster
from gearing.policies.rules import FixedLeverage
from gearing.studies.study.config import load_study
from gearing.studies.study.exporting.export import check_export, export_from_folder
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


def test_a_seed_and_a_direction_are_part_of_the_folders_name(tmp_path):
    config = study("one")
    assert place(config, "one", tmp_path, seed=2).name == "bundle-one-seed2"
    assert place(config, "one", tmp_path, direction="up").name == "bundle-one-up"
    assert inputs_of(tmp_path / "bundle-one-seed2") == tmp_path / "decide-one-seed2"
    assert inputs_of(tmp_path / "mine") == tmp_path / "mine-decide"  # never the bundle itself


def test_of_several_policies_one_must_be_chosen(tmp_path):
    folder = stored(study("one", "two"), tmp_path)
    with pytest.raises(ValueError, match="several policies; choose one with --policy: one, two, fixed_1x"):
        export_from_folder(folder)
    with pytest.raises(ValueError, match="'three' is not in this study; choose one with --policy: one, two"):
        export_from_folder(folder, "three")


def test_an_export_that_no_bundle_can_hold_is_refused_before_anything_is_trained(monkeypatch):
    with pytest.raises(ValueError, match=r"export: no agent or rule 'onne'. Did you mean 'one'\?"):
        study("one", export="onne")
    with pytest.raises(ValueError, match="plays the directions up, down, and a bundle has one"):
        study("one", export="one", directions={"up": "long", "down": "short"})
    own = {"mine": {"rule": f"{__file__}:Own"}}
    with pytest.raises(ValueError, match="export: mine: Own is not a registered rule"):
        check_export(study(rules=own, export="mine"))
    check_export(study("one", export="one"))
    check_export(study("one", export="fixed_1x"))
    without_graph = replace(forecaster("har_dow"), exports=False)
    monkeypatch.setattr("gearing.studies.study.exporting.export.forecaster", lambda name: without_graph)
    with pytest.raises(ValueError, match="reads the forecast of har_dow, which has no graph"):
        check_export(study("one", export="one"))


@dataclass(frozen=True)
class Own(FixedLeverage):
    """A rule that nobody registered."""
