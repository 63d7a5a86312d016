"""Reading an experiment: a YAML file, overrides, and errors that say where and what instead.

OmegaConf reads and merges (``decision.margin_share=0.2``, ``${...}``), pydantic checks.
"""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ValidationError
from yaml import YAMLError

from gearing.names import did_you_mean, nearest, shown
from gearing.plugins import absolute, load_plugins
from gearing.storage.text import read_text
from gearing.studies.experiment import OF_THE_WHOLE, ExperimentConfig, config_class

_NOT_YAML = (YAMLError, OmegaConfBaseException, RecursionError)
_LONGEST = 200  # characters of a refused value that a message shows
# What a value must be, by pydantic's name of the mistake.
_RULES = {
    **dict.fromkeys(
        ("dict_type", "model_type", "model_attributes_type", "mapping_type"),
        "a mapping, as in {{key: value}}",
    ),
    "list_type": "a list, as in [a, b]",
    "string_type": "text",
    "bool_type": "true or false",
    **dict.fromkeys(("int_type", "int_from_float", "int_parsing"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    "int_parsing_size": "a whole number of fewer digits",
    "finite_number": "a finite number",
    "literal_error": "{expected}",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "too_short": "a list or mapping of at least {min_length} item(s); it has {actual_length}",
    "too_long": "a list or mapping of at most {max_length} item(s); it has {actual_length}",
    "invalid_key": "a mapping whose keys are text",
    "none_required": "null",
}
# Keys of former releases, and what to write instead.
_FORMER = {
    "model": " Write forecaster.",
    "variant": " Write it next to the generator: market: {generator: market-a, variant: zero-drift}.",
}


def load_config(
    experiment: str | Path | Mapping[str, Any],
    overrides: Iterable[str] = (),
    source: str | None = None,
    plugins: Iterable[str] = (),
) -> ExperimentConfig:
    """Read an experiment; its ``kind`` says what it is made of.

    Without a kind it is a forecast experiment if it names ``models``, otherwise a study.

    Parameters
    ----------
    experiment : path or mapping
        YAML, or what it would hold. The first line of a file, a comment, is the question unless ``question`` says it.
    overrides : iterable of str
        ``section.key=value``, as YAML values: ``market.contracts=[ETHUSDT]``, ``seeds=1``.
    source : str, optional
        What errors call it; by default the path.
    plugins : iterable of str
        Modules or files of your own, besides those that the experiment lists.

    Raises
    ------
    ValueError
        Each mistake on a line of its own: file, line and section, what was given, the rule, what to do.
    """
    overrides = list(overrides)
    if isinstance(experiment, Mapping):
        source = source or "settings"
        values = _with_plugins(_merged(dict(experiment), overrides, source), plugins, source)
        return _validated(values, overrides, source)
    if not isinstance(experiment, str | Path):
        raise TypeError(
            f"the experiment is {shown(experiment)}; give the path of a YAML file, a mapping of its keys, or an "
            "ExperimentConfig."
        )
    path, source = Path(experiment), source or str(experiment)
    if not path.is_file():
        raise ValueError(f"there is no experiment file {path}.{_nearby(path)}")
    named = {"name": path.stem, "question": _first_comment(path)}
    values = _with_plugins(_merged(path, overrides, source), plugins, source, path.parent)
    return _validated({**named, **values}, overrides, source, read_text(path))


def _with_plugins(
    values: dict[str, Any], more: Iterable[str], source: str, folder: Path | None = None
) -> dict[str, Any]:
    """The experiment with all plugins, imported: they may register its kind, and the names in it."""
    given = values.get("plugins", [])
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        raise ValueError(
            f"{source}, plugins: {given!r} is no list of modules or files; write [my_rewards.py]."
        )
    plugins = list(dict.fromkeys(absolute(name, folder) for name in (*given, *more)))
    try:
        load_plugins(plugins)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error
    return {**values, "plugins": plugins} if plugins else values


def _validated(
    values: dict[str, Any], overrides: list[str], source: str, text: str = "", whole: tuple[str, ...] = ()
) -> ExperimentConfig:
    """The experiment; ``whole`` is the place of an act in the experiment that it belongs to."""
    try:
        model = config_class(str(values.get("kind", "forecast" if "models" in values else "study")))
    except ValueError as error:
        raise ValueError(f"{_named(source, text, whole)}: {error}") from None
    if isinstance(values.get("acts"), dict):
        values = values | {"acts": _acts(values["acts"], overrides, source, text)}
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ValueError("\n".join(_lines(error, model, source, overrides, text, whole))) from None


def _acts(given: dict[str, Any], overrides: list[str], source: str, text: str) -> dict[str, Any]:
    """The acts of an experiment, each read as an experiment of its own."""
    read = {}
    for name, act in given.items():
        place = ("acts", str(name))
        if not isinstance(act, dict):
            raise ValueError(
                f"{_named(source, text, place)}: {act!r} is refused: it must be an experiment, as in "
                "{kind: regret, ...}."
            )
        for field in sorted(act.keys() & set(OF_THE_WHOLE)):
            raise ValueError(
                f"{_named(source, text, (*place, field))}: an act takes it from its experiment. Write it at the top."
            )
        read[str(name)] = _validated(act | {"name": str(name)}, overrides, source, text, place)
    return read


def _named(source: str, text: str, place: tuple[str, ...]) -> str:
    """A place in a file, with its line."""
    line = _line(text, list(place)) if text else ""
    return f"{source}{line}, {'.'.join(place)}" if place else source


def _merged(given: Path | dict[str, Any], overrides: list[str], source: str) -> dict[str, Any]:
    config = _created(read_text(given) if isinstance(given, Path) else given, source)
    for override in overrides:
        _apply(config, override)
    try:
        values: Any = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        place = f", {error.full_key}" if error.full_key else ""
        raise ValueError(
            f"{source}{place}: what stands in ${{...}} cannot be filled in. Name another key of the experiment, or an "
            "environment variable: ${oc.env:GEARING_DATA,data}."
        ) from None
    _check_finite(values, source)
    return {str(section): value for section, value in values.items()}


def _created(given: str | dict[str, Any], source: str) -> Any:
    """The experiment as OmegaConf has it: a mapping of sections."""
    try:
        config = OmegaConf.create(_mapping(given, source) if isinstance(given, str) else given)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        raise ValueError(
            f"{source}{place}: this is not YAML. Look for a missing colon, quote or bracket, a tab, or a wrong "
            "indentation at this place or just before it."
        ) from None
    except (OmegaConfBaseException, RecursionError):
        raise ValueError(
            f"{source}: this is not YAML of an experiment: keys are names, values are numbers, text, lists and "
            "mappings, ${...} is closed, and nothing is nested deeply."
        ) from None
    return config


def _mapping(text: str, source: str) -> str:
    """The text of an experiment, if it holds a mapping of sections and nothing else."""
    try:
        held = yaml.compose(text, Loader=yaml.SafeLoader)
    except RecursionError:
        raise ValueError(f"{source}: its lists or mappings are nested too deeply.") from None
    if not isinstance(held, yaml.MappingNode):
        what = (
            "nothing"
            if held is None
            else "a list"
            if isinstance(held, yaml.SequenceNode)
            else "a single value"
        )
        raise ValueError(
            f"{source} holds {what}; an experiment is a mapping of sections, as in market: {{years: 2}}."
        )
    return text


def _check_finite(value: Any, source: str, place: str = "") -> None:
    """Refuse numbers that are not finite wherever they stand: JSON does not know them."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{source}, {place}: {value} is not a finite number.")
    inside: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        inside = value.items()
    elif isinstance(value, list):
        inside = enumerate(value)
    for key, item in inside:
        _check_finite(item, source, f"{place}.{key}" if place else str(key))


def _apply(config: Any, override: str) -> None:
    """Set one dotted key; what stood there is replaced."""
    key, value = setting(override)
    try:
        OmegaConf.update(config, key, value, merge=False)
    except (*_NOT_YAML, TypeError, AttributeError, LookupError, ValueError):
        raise ValueError(
            f"override {override!r} does not fit what stands there: the value before the last dot is no mapping."
        ) from None


def setting(text: str) -> tuple[str, Any]:
    """Key and value of ``key=value``, the value read as YAML.

    Raises
    ------
    ValueError
        If there is no key or no "=", or the value is no YAML.
    """
    key, sign, _ = text.partition("=")
    if not sign or not key.strip() or key != key.strip():
        raise ValueError(f"override {text!r} has no key or no '='; write section.key=value, as in seeds=1.")
    try:
        value = OmegaConf.select(OmegaConf.from_dotlist([text]), key)
        return key, OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
    except (*_NOT_YAML, TypeError, AttributeError, LookupError, ValueError):
        raise ValueError(
            f"override {text!r} cannot be read: its value is no YAML. Quote what holds brackets, braces or colons, "
            'as in "controls=[{control: stop_loss, margin: 0.3}]".'
        ) from None


def _first_comment(path: Path) -> str:
    first = read_text(path).partition("\n")[0]
    return first.lstrip("# ").strip() if first.startswith("#") else ""


def _nearby(path: Path) -> str:
    names = [other.name for other in path.parent.glob("*.yaml") if other.is_file()]
    near = nearest(path.name, names)
    return f" Did you mean {path.with_name(near)}?" if near else ""


def _lines(
    error: ValidationError, model: type[BaseModel], source: str, overrides: list[str], text: str,
    whole: tuple[str, ...],
) -> Iterable[str]:  # fmt: skip
    """One line per mistake; ``text`` is that of the file, if it is one, ``whole`` the place of the experiment in it."""
    for place, problem in _one_per_place(error):
        if problem["type"] == "extra_forbidden":
            section, key = place[:-1], place[-1]
            instead = _FORMER.get(key) or did_you_mean(key, _known_fields(model, section))
            message = f"no field {key!r}.{instead}"
        else:
            section, message = place, message_of(problem)
        inside = place or message.partition(":")[0].split(".")
        section, place = [*whole, *section], [*whole, *place]
        origin = _origin(source, place, overrides)
        where = f", {'.'.join(section)}" if section else ""
        if origin == source and text:
            where = f"{_line(text, [*whole, *inside])}{where}"
        yield f"{origin}{where}: {message}"


def _line(text: str, place: list[str]) -> str:
    """The line of a file at which the last part of a place stands that the file has; "" if it has none of them."""
    node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    found = ""
    for part in place:
        inside = next((pair for name, pair in _inside(node) if name == part), None)
        if inside is None:
            break
        found, node = f", line {inside[0].start_mark.line + 1}", inside[1]
    return found


def _inside(node: Any) -> Iterable[tuple[str, tuple[Any, Any]]]:
    """Names of the parts of a YAML node, each with the node where it begins and that of its value.

    A list may stand for a mapping: its items have their number and, if they are names, their name.
    """
    if isinstance(node, yaml.MappingNode):
        yield from ((str(key.value), (key, value)) for key, value in node.value)
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            yield str(number), (item, item)
            yield str(item.value), (item, item)


def _one_per_place(error: ValidationError) -> Iterable[tuple[list[str], Mapping[str, Any]]]:
    """Where a value may be of two types, report the mistakes of the one that nearly fits."""
    problems = [([str(part) for part in p["loc"] if not _is_branch(part)], p) for p in error.errors()]
    reported: list[str] = []
    for place, problem in sorted(problems, key=lambda item: item[1]["type"].endswith("_type")):
        dotted = ".".join(place)
        if not any(other == dotted or other.startswith(f"{dotted}.") for other in reported):
            reported.append(dotted)
            yield place, problem


def message_of(problem: Mapping[str, Any]) -> str:
    """What was given and what it must be, of a mistake as pydantic reports it."""
    if problem["type"] == "missing":
        return "is missing."
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"])
    given = problem["input"]
    shown = repr(given) if len(repr(given)) < _LONGEST else f"{repr(given)[:_LONGEST]} ..."
    rule = _RULES.get(problem["type"])
    if rule is None:
        return f"{shown} is refused: {problem['msg'][0].lower()}{problem['msg'][1:]}."
    return f"{shown} is refused: it must be {rule.format(**problem.get('ctx', {}))}."


def _origin(source: str, place: list[str], overrides: list[str]) -> str:
    """The override that brought the value, else the file."""
    dotted = ".".join(place)
    for override in overrides:
        name = override.partition("=")[0]
        if dotted and (name == dotted or name.startswith(f"{dotted}.") or dotted.startswith(f"{name}.")):
            return f"override {override}"
    return source


def _is_branch(part: int | str) -> bool:
    """Whether a part of pydantic's location names a type it tried, rather than a key."""
    return isinstance(part, str) and (
        part.startswith(("list[", "function-", "constrained-")) or part in {"int", "float"}
    )


def _known_fields(kind: Any, place: list[str]) -> list[str]:
    """Keys that the section at ``place`` inside a section, or a mapping of sections, knows."""
    if place and get_origin(kind) is dict:  # whose keys are free
        return _known_fields(get_args(kind)[1], place[1:])
    options = (kind, *get_args(kind))
    model = next((one for one in options if isinstance(one, type) and issubclass(one, BaseModel)), None)
    if model is None:
        return []
    fields = {field.alias or name: field.annotation for name, field in model.model_fields.items()}
    return _known_fields(fields[place[0]], place[1:]) if place else list(fields)
