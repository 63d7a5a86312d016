"""The documentation: its code runs, its commands exist, and the API reference names everything public.

Links between pages, anchors and the navigation are checked by ``mkdocs build --strict`` in `make check`.
"""

from __future__ import annotations

import ast
import contextlib
import doctest
import io
import json
import re
import shlex
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from tests.fuzz.mutations import run_command
from tests.test_public_surface import NAMES

import gearing
from gearing.cli import app
from gearing.features.feature import FEATURES
from gearing.forecasters.register import RECIPES
from gearing.policies.registry import CONTROLS, RULES
from gearing.simulation.actions import SCHEMES
from gearing.simulation.rewards import REWARDS

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = {
    path.relative_to(ROOT).as_posix(): path for path in (ROOT / "README.md", *sorted(DOCS.rglob("*.md")))
}
TEXTS = {name: path.read_text(encoding="utf-8") for name, path in PAGES.items()}
REGISTERS = (CONTROLS, FEATURES, RECIPES, REWARDS, RULES, SCHEMES)
# What a page is made of, in order: a fenced block, or lines of a console.
PART = re.compile(
    r"^```(?P<kind>\w*)\n(?P<text>.*?)^```|^    (?P<command>gearing [^\n]*(?:(?<=\\)\n[^\n]*)*)$", re.S | re.M
)
PYTHON = [
    name for name, text in TEXTS.items() if "```python" in text and name != "docs/sizing.md"
]  # a doctest
FAST = (
    "docs/environments.md",
    "docs/tutorials/comparison.md",
    "docs/tutorials/own-feature.md",
)
# Pages whose code needs what a test cannot give, and what tests it instead; here their imports are checked.
NOT_RUN = {
    "docs/bundle.md": "live bars and a key, see tests/export/test_bundle.py",
    "docs/decisions.md": "a venue's account, see tests/export/live",
    "docs/minutes.md": "years of minutes on disk, see tests/market/test_store.py",
    "docs/own-policies.md": "models of others, see tests/agents/own",
    "docs/paper.md": "recorded bars, see tests/live/paper",
    "docs/portfolio.md": "a folder of many contracts, see tests/studies/portfolio",
    "docs/tracking.md": "a registered model in MLflow, see tests/tracking",
    "docs/volatility.md": "many contracts, see tests/forecasters/test_panel.py",
}
# Commands are run in tutorials; elsewhere they are looked up.
TUTORIALS = "docs/tutorials/"


def parts(name):
    """Kind and text of every block of a page: python, text, gearing (a command), or another kind."""
    for match in PART.finditer(TEXTS[name]):
        if match["command"] is not None:
            yield "gearing", re.sub(r"\\\n\s*", "", match["command"])
        else:
            yield match["kind"], match["text"]


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """An empty folder, current; names that a page registers are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GEARING_DATA", raising=False)
    before = {name for register in REGISTERS for name in register.names()}
    yield tmp_path
    for register in REGISTERS:
        for name in set(register.names()) - before:
            register.remove(name)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in FAST else pytest.mark.slow)
        for name in PYTHON
        if name not in NOT_RUN
    ],
)
def test_the_code_of_a_page_runs_and_prints_what_the_page_says(name, workplace):
    for kind in ("stable_baselines3", "torch", "onnx", "sklearn"):
        if re.search(rf"\b{kind}\b|gearing\.train\(" if kind == "torch" else rf"\b{kind}\b", TEXTS[name]):
            pytest.importorskip(kind)
    names = {"__name__": "page"}
    printed = ""
    for kind, text in parts(name):
        if kind == "python":
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(compile(text, name, "exec", dont_inherit=True), names)
            printed = out.getvalue()
        elif kind == "gearing" and name.startswith(TUTORIALS):
            code, printed, errors = run_command(shlex.split(text, comments=True)[1:])
            assert code == 0, f"{text}\n{errors}"
        elif kind == "text":
            same = doctest.OutputChecker().check_output(
                text, printed, doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
            )
            assert same, f"{name} says\n{text}\nbut it prints\n{printed}"


@pytest.mark.parametrize("name", NOT_RUN)
def test_what_a_page_imports_exists(name):
    tree = ast.parse("\n".join(text for kind, text in parts(name) if kind == "python"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            pytest.importorskip(node.module.split(".")[0])
            assert all(hasattr(import_module(node.module), alias.name) for alias in node.names)
        if isinstance(node, ast.Attribute) and re.fullmatch(r"gearing(\.\w+)+", path := ast.unparse(node)):
            _found(path)


def commands():
    """Every command of the pages, as its words."""
    for name in TEXTS:
        for kind, text in parts(name):
            if kind == "gearing":
                yield pytest.param(text, id=f"{name}: {text[:60]}")


def test_every_command_of_the_pages_exists_with_its_options():
    import typer

    group = typer.main.get_command(app)
    wrong = []
    for parameter in commands():
        words = shlex.split(parameter.values[0].replace("[", " ").replace("]", " "), comments=True)[1:]
        known = {"--help", "--version", "--debug", "--install-completion"}
        command = group
        while words and hasattr(command, "commands") and words[0] in command.commands:
            command = command.commands[words.pop(0)]
        known |= {option for each in command.params for option in (*each.opts, *each.secondary_opts)}
        unknown = [word for word in words if word.startswith("--") and word.partition("=")[0] not in known]
        if unknown or (command is group and not (set(words) & known) and words[0] != "COMMAND"):
            wrong.append((parameter.id, unknown))
    assert wrong == []


def _public():
    """Every public name, as ``package.name``, and the object."""
    for package in NAMES:
        for name in NAMES[package].split():
            yield f"{package}.{name}", getattr(import_module(package), name)
    for package in ("gearing.policies.rules", "gearing.policies.controls", "gearing.market.importing"):
        module = import_module(package)
        for name in module.__all__:
            yield f"{package}.{name}", getattr(module, name)


def _found(path):
    """The object of a dotted path: what a package exports comes before its module of that name."""
    words = path.replace("gearing.rules.", "gearing.policies.rules.").split(".")
    for k in range(len(words) - 1, 0, -1):
        with contextlib.suppress(ModuleNotFoundError):
            found = import_module(".".join(words[:k]))
            for word in words[k:]:
                found = getattr(found, word)
            return found
    raise AssertionError(f"nothing is named {path}")


def test_the_api_reference_names_everything_public():
    listed = re.findall(
        r"^::: (\S+)", "\n".join(TEXTS[name] for name in TEXTS if "/reference/" in name), re.M
    )
    shown = [_found(path) for path in listed]
    modules = type(gearing)
    missing = [
        path
        for path, thing in _public()
        if not isinstance(thing, modules | str) and not any(thing is one or thing == one for one in shown)
    ]
    assert missing == []


def test_nothing_is_in_the_api_reference_twice():
    listed = re.findall(
        r"^::: (\S+)", "\n".join(TEXTS[name] for name in TEXTS if "/reference/" in name), re.M
    )
    assert len(listed) == len(set(listed))


def _anchors(text):
    """Anchors of a page's headings, as GitHub and the site make them."""
    plain = re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
    heads = re.findall(r"^#+ (.+)$", plain, re.M)
    bare = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", head).replace("`", "").strip().lower() for head in heads]
    return {re.sub(r"[^\w\- ]", "", head).replace(" ", "-") for head in bare}


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "data/README.md", *PAGES])
def test_links_to_files_and_headings_of_the_repository_lead_somewhere(name):
    page = ROOT / name
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.S | re.M)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{name} links to {target}"
        if anchor and there.suffix == ".md":
            assert anchor in _anchors(there.read_text(encoding="utf-8")), f"{name} links to {target}"


@pytest.fixture(scope="module")
def site():
    spec = spec_from_file_location("site_pages", DOCS / "site_pages.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_links_out_of_docs_become_links_of_the_site(site):
    text = "[a](../data/README.md#import) [b](agents.md) ![c](images/x.png) [d](https://x.org)\n```\n[e](../README.md)\n```\n"
    assert site.rewritten(text, "history.md") == text.replace("(../data", "(data").replace("[b](a", "[b](a")
    assert (
        site.rewritten("[a](../../examples/print_calls.py)", "tutorials/export.md")
        == "[a](../examples/print_calls.py)"
    )
    assert site.rewritten("[a](docs/agents.md)", "CONTRIBUTING.md") == "[a](agents.md)"
    assert site.rewritten("[a](../notebooks/05_export.ipynb)", "paper.md") == "[a](notebooks/05_export.md)"
    assert site.rewritten("[a](../src/gearing/names.py)", "paper.md") == "[a](../src/gearing/names.py)"


def test_a_notebook_becomes_a_page_with_what_its_cells_print_and_draw(site, tmp_path):
    table = (
        '<div>\n<style scoped>\n  td {}\n</style>\n\n<table border="1"><tr><td>1</td></tr></table>\n</div>'
    )
    outputs = [
        {"output_type": "stream", "name": "stdout", "text": ["printed\n"]},
        {"output_type": "execute_result", "data": {"text/html": [table], "text/plain": ["1"]}},
        {"output_type": "display_data", "data": {"image/png": "QUJD\n", "text/plain": "<Figure>"}},
    ]
    cells = [
        {"cell_type": "markdown", "source": ["# A lesson"]},
        {"cell_type": "code", "source": ["draw()"], "outputs": outputs},
    ]
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": cells}))
    page = site.notebook_page(tmp_path / "a.ipynb").split("\n\n")
    assert page[:3] == ["# A lesson", "```python\ndraw()\n```", "```text\nprinted\n```"]
    assert page[3] == "<div>\n<table><tr><td>1</td></tr></table>\n</div>"
    assert page[4] == '<img alt="Figure of the cell above" src="data:image/png;base64,QUJD">\n'
