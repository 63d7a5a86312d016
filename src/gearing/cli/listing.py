"""`gearing list`: names that settings and experiments may use, with their parameters and a line about each."""

from __future__ import annotations

import inspect
import shutil
import textwrap
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from importlib import import_module
from typing import Annotated, Any

import typer

from gearing.cli.shared import Json, Plugins, write_json

# What may be listed: module and name of its register.
_LISTS = {
    "rules": ("gearing.policies.registry", "RULES"),
    "controls": ("gearing.policies.registry", "CONTROLS"),
    "features": ("gearing.features.feature", "FEATURES"),
    "forecasters": ("gearing.forecasters.register", "RECIPES"),
    "rewards": ("gearing.simulation.rewards", "REWARDS"),
    "actions": ("gearing.simulation.actions", "SCHEMES"),
    "venues": ("gearing.contracts.venues", "VENUES"),
    "markets": ("gearing.market.synthetic.generators", "GENERATORS"),
    "kinds": ("gearing.studies.experiment", "KINDS"),
}
_ABOUT = "What to list: " + ", ".join(_LISTS)


def _complete(incomplete: str) -> list[str]:
    return [name for name in _LISTS if name.startswith(incomplete)]


def list_names(
    what: Annotated[str, typer.Argument(help=f"{_ABOUT}.", autocompletion=_complete)],
    json_file: Json = None,
    plugins: Plugins = None,
) -> None:
    """List the names of rules, features and so on, your own of --plugins included, with their parameters."""
    from gearing.names import check_names
    from gearing.plugins import load_plugins

    check_names("`gearing list` knows no", [what], _LISTS)
    load_plugins(plugins or ())
    module, register = _LISTS[what]
    import_module(module.rpartition(".")[0])  # the package imports those that ship
    named = getattr(import_module(module), register)
    entries = [(name, *_described(named[name])) for name in named.names()]
    width = shutil.get_terminal_size().columns
    for line in _lines(entries, width):
        typer.echo(line)
    write_json(
        json_file, {name: {"parameters": parameters, "about": about} for name, parameters, about in entries}
    )


def _lines(entries: list[tuple[str, dict[str, Any], str]], width: int) -> Iterator[str]:
    for name, parameters, about in entries:
        settings = " ".join(f"{key}={value}" for key, value in parameters.items())
        yield from textwrap.wrap(f"{name}  {settings}".rstrip(), width, subsequent_indent="        ")
        yield from textwrap.wrap(about, width, initial_indent="    ", subsequent_indent="    ")


def _described(thing: Any) -> tuple[dict[str, Any], str]:
    """Parameters with their defaults, and the first line of the description."""
    made = thing[0] if isinstance(thing, tuple) else getattr(thing, "compute", getattr(thing, "make", thing))
    made = getattr(made, "compute", made)  # a feature of one window
    about = next(iter((inspect.getdoc(made) or "").splitlines()), "")
    declared = fields(made) if inspect.isclass(made) and is_dataclass(made) else ()
    parameters = {one.name: one.default for one in declared if one.init and not one.name.startswith("_")}
    return {
        name: "..." if repr(value).startswith("<") else value for name, value in parameters.items()
    }, about
