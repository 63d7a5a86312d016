"""A user's own modules are imported by name or file, their mistakes are placed, and their code counts."""

import sys

import pytest

from gearing.plugins import absolute, load_object, load_plugins, plugins_digest, users_frame


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, and no module or search path of it afterwards; libraries that a test imports stay."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        places = [sys.modules[name].__dict__.get("__file__"), *sys.modules[name].__dict__.get("__path__", ())]
        if any(str(place).startswith(str(tmp_path)) for place in places):
            del sys.modules[name]


@pytest.mark.parametrize("name", ["plugin_one.py", "plugin_one", "./plugin_one.py"])
def test_a_module_of_the_current_folder_is_named_by_its_file_or_its_name(folder, name):
    (folder / "plugin_one.py").write_text("class Mine:\n    pass\n")
    assert load_object(f"{name}:Mine").__name__ == "Mine"


def test_a_module_of_a_package_is_named_with_dots(folder):
    (folder / "plugin_pack").mkdir()
    (folder / "plugin_pack" / "__init__.py").write_text("")
    (folder / "plugin_pack" / "inner.py").write_text("class Mine:\n    pass\n")
    assert load_object("plugin_pack.inner:Mine").__module__ == "plugin_pack.inner"


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("a = 1\nb = undefined\n", "line 2: NameError: name 'undefined' is not defined"),
        ("def f(:\n", "line 1: SyntaxError"),
        ("\n\n{}['x']\n", "line 3: KeyError: 'x'"),
        ("import no_such_library\n", "line 1: ModuleNotFoundError: No module named 'no_such_library'"),
        ("import sys\nsys.exit(4)\n", "line 2: SystemExit: 4"),
        ("import json\njson.loads('')\n", "line 2: JSONDecodeError"),
    ],
)
def test_a_mistake_in_a_plugin_is_one_message_with_file_and_line(folder, source, place):
    path = folder / f"plugin_{abs(hash(source))}.py"
    path.write_text(source)
    with pytest.raises(ValueError) as refused:
        load_plugins([path.name])
    assert f"{path}, {place}" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("plugin_onee.py", "there is no such file. Did you mean 'plugin_one.py'?"),
        ("plugin_none", "there is no module 'plugin_none'"),
        ("my-plugin.py", "is no name of a module"),
        ("a b", "neither a module"),
        ("json.py", "Python knows another module 'json'"),
    ],
)
def test_what_is_no_plugin_is_refused_with_what_to_write(folder, name, message):
    for file in ("plugin_one.py", "my-plugin.py", "json.py"):
        (folder / file).write_text("")
    with pytest.raises(ValueError, match=r".") as refused:
        load_plugins([name])
    assert message in str(refused.value)


def test_a_class_that_the_module_lacks_is_refused_with_the_nearest(folder):
    (folder / "plugin_two.py").write_text("import json\nclass Mine:\n    pass\n")
    with pytest.raises(ValueError, match=r"plugin_two\.py defines no 'Min'\. Did you mean 'Mine'\?"):
        load_object("plugin_two.py:Min")


def test_the_digest_counts_the_file_and_what_it_imports_from_its_folder(folder):
    def digest_of(name, helper):
        home = folder / name
        home.mkdir()
        (home / f"helper_{name}.py").write_text(helper)
        (home / f"plug_{name}.py").write_text(f"from helper_{name} import FACTOR\n")
        (home / "unrelated.py").write_text(helper)
        return plugins_digest([str(home / f"plug_{name}.py")])

    one, two = digest_of("one", "FACTOR = 1\n"), digest_of("two", "FACTOR = 2\n")
    assert one != two
    (folder / "one" / "unrelated.py").write_text("changed")
    assert plugins_digest([str(folder / "one" / "plug_one.py")]) == one


def test_a_file_next_to_the_experiment_is_found_from_another_folder(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("experiments")
    (other / "plugin_three.py").write_text("")
    assert absolute("plugin_three.py", other) == str(other / "plugin_three.py")
    assert absolute("a_module", other) == "a_module"


def test_a_library_is_not_taken_for_code_of_ones_own(folder):
    from gearing.names import nearest

    (folder / "plugin_four.py").write_text("def fail():\n    return {}['x']\n")
    own = load_object("plugin_four.py:fail")
    with pytest.raises(KeyError) as raised:
        nearest("a", (own() for _ in range(1)))  # gearing calls code of one's own
    assert users_frame(raised.value)[:3] == (str(folder / "plugin_four.py"), 2, "fail")
    with pytest.raises(TypeError) as raised:
        nearest("a", 3)
    assert users_frame(raised.value) is None
