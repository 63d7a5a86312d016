"""A name that begins with an underscore belongs to its file: no module and no test uses another's."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(path for folder in ("src", "tests") for path in (ROOT / folder).rglob("*.py"))
# Names that other libraries offer with an underscore only: namedtuples, numba, hashlib, torch, scikit-learn, freqtrade
# and stable-baselines3.
FOREIGN = {
    "_replace", "_getvalue", "_Hash", "_last_obs", "_last_episode_starts", "_last_lstm_states", "_setup_learn",
    "_get_torch_save_params", "_update_current_progress_remaining", "_api", "_api_async", "_markets", "_exit",
    "_fields", "_n_updates", "_get_action_dist_from_latent", "_validate_args", "_predictors",
    "_baseline_prediction",
}  # fmt: skip


def is_private(name):
    return name.startswith("_") and not name.startswith("__")


def own_names(tree):
    """Names that a file defines itself: functions, classes, variables, fields, and attributes of ``self``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_self(node.value):
            yield node.attr


def is_self(node):
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def foreign_private_names(source):
    """Private names that a file takes from others, with their lines."""
    tree = ast.parse(source)
    own = {*own_names(tree), *FOREIGN}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr) and not is_self(node.value):
            if node.attr not in own:
                yield node.lineno, node.attr
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, alias.name) for alias in node.names if is_private(alias.name))


@pytest.mark.parametrize("file", FILES, ids=[str(file.relative_to(ROOT)) for file in FILES])
def test_a_module_uses_no_private_name_of_another(file):
    assert list(foreign_private_names(file.read_text(encoding="utf-8"))) == []


def test_what_the_test_above_finds():
    source = "from gearing.a import _b\nmarket._rows(1)\nself._mine\nvalue.__name__\nparts._replace(x=1)\n"
    assert list(foreign_private_names(source)) == [(1, "_b"), (2, "_rows")]
