import pytest

from gearing.names import Register, check_file_name, check_names, did_you_mean, is_file_name, nearest


def test_the_nearest_name_is_suggested():
    assert nearest("marlin", ["market", "margin"]) == "margin"
    assert nearest("zzz", ["market"]) is None
    assert did_you_mean("marke", ["market", "seeds"]) == " Did you mean 'market'?"


def test_without_a_near_name_all_are_listed():
    assert did_you_mean("zzz", ["market", "seeds"]) == " Known: market, seeds."
    assert did_you_mean("zzz", []) == " Known: none."


def test_a_name_that_is_not_known_is_refused_with_the_nearest():
    check_names("the account has no field", ["equity"], ("equity",))
    with pytest.raises(KeyError, match=r"the account has no field 'equty'\. Did you mean 'equity'"):
        check_names("the account has no field", ["equty"], ("equity",), KeyError)


def test_a_registered_thing_is_found_by_its_name():
    shapes: Register = Register("shape", "gearing.shapes")

    @shapes.register("round")
    class Round: ...

    assert shapes["round"] is Round
    assert "round" in shapes
    assert shapes.names() == ("round",)
    with pytest.raises(ValueError, match=r"no shape 'rond'\. Did you mean 'round'"):
        shapes["rond"]


def test_a_name_belongs_to_one_thing():
    shapes: Register = Register("shape", "gearing.shapes")

    @shapes.register("round")
    class Round: ...

    shapes.register("round")(Round)  # the same class again, as a module that is loaded again brings it
    with pytest.raises(ValueError, match="a shape named 'round' is already registered by"):
        shapes.add("round", 1, source=did_you_mean)
    shapes.remove("round")
    shapes.add("round", 1, source=did_you_mean)
    assert shapes["round"] == 1


def test_modules_that_ship_are_imported_when_a_name_is_looked_up(tmp_path, monkeypatch):
    (tmp_path / "late_module_of_test.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    late: Register = Register("late", "gearing.late", ["late_module_of_test"])
    late.add("one", 1, source=did_you_mean)
    for _ in range(2):  # a register that could not load everything does not pass for a whole one
        with pytest.raises(RuntimeError, match="imported"):
            late.names()


def test_installed_packages_announce_their_own_by_entry_point(monkeypatch):
    class Announced:
        def load(self):
            shapes.add("triangle", 3, source=did_you_mean)

    monkeypatch.setattr(
        "gearing.names.entry_points", lambda group: [Announced()] if group == "gearing.shapes" else []
    )
    shapes: Register = Register("shape", "gearing.shapes")
    assert "triangle" in shapes


def test_each_register_of_the_package_has_its_entry_point_group():
    from gearing.features.feature import FEATURES
    from gearing.forecasters.register import RECIPES
    from gearing.market.synthetic.generators import GENERATORS
    from gearing.policies.registry import CONTROLS, RULES
    from gearing.simulation.actions import SCHEMES
    from gearing.simulation.rewards import REWARDS

    registers = (FEATURES, RECIPES, GENERATORS, CONTROLS, RULES, SCHEMES, REWARDS)
    assert {register.kind: register.group for register in registers} == {
        "feature": "gearing.features",
        "forecaster": "gearing.forecasters",
        "synthetic market": "gearing.markets",
        "control": "gearing.controls",
        "rule": "gearing.rules",
        "action scheme": "gearing.action_schemes",
        "reward": "gearing.rewards",
    }


@pytest.mark.parametrize(
    "name", ["BTCUSDT", "1000PEPEUSDT", "币安人生USDT", "my study (2)", "a.b-c_d", "x", "é"]
)
def test_usual_names_may_become_files(name):
    assert check_file_name(name, "the name") == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "a\\b",
        "C:x",
        "x.",
        "x ",
        " x",
        "-x",
        ".x",
        "a\nb",
        "a\x00",
        "CON",
        "nul.txt",
        3,
        None,
    ],
)
def test_what_leads_elsewhere_or_is_no_name_everywhere_may_not_become_a_file(name):
    assert not is_file_name(name)
    with pytest.raises(ValueError, match=r"the name .* cannot name a file or a folder"):
        check_file_name(name, "the name")
