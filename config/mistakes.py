"""Messages for settings that cannot be used: one line each, for the administrator."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from tomllib import TOMLDecodeError
from typing import get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

PREFIX = "MAMMO_NODE__"
BETWEEN = "__"
"""MAMMO_NODE__RECEIVER__PORT is the key receiver.port."""
_NAME = "MAMMO_NODE_"
_OF_A_SERVICE = re.compile(
    r"(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)", re.ASCII
)

_SENTENCES = {
    "missing": "must be set",
    "string_type": "must be text in quotes",
    "string_too_long": "must have at most {max_length} characters",
    "string_too_short": "must have {min_length} or more characters",
    "path_type": "must be a path in quotes",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "greater_than": "must be greater than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than": "must be less than {lt:g}",
    "less_than_equal": "must be at most {le:g}",
    "tuple_type": "must be a list in square brackets",
    "too_short": "must name at least {min_length}",
    "literal_error": "must be one of: {expected}",
    "model_type": "must be a section with keys of its own",
    "model_attributes_type": "must be a section with keys of its own",
    "value_error": "{error}",
    "union_tag_invalid": "kind must be one of: {expected_tags}",
}
"""By pydantic's error type; its context fills the braces."""


def sentences(model: type[BaseModel], errors: Sequence[ErrorDetails], environment: Mapping[str, str]) -> Iterator[str]:
    """One line for each error: the key, its variable if it was set there, what is wrong, and a suggestion.

    Args:
        errors: of a pydantic ValidationError of `model`.
        environment: the variables, which override the file.
    """
    variables = {name.upper() for name in environment}
    for error in errors:
        path = error["loc"]
        key = ".".join(map(str, path)) or "(whole file)"
        variable = PREFIX + BETWEEN.join(map(str, path)).upper()
        yield f"{key}{f' (from {variable})' if variable in variables else ''}: {_sentence(model, path, error)}"


def not_toml(error: TOMLDecodeError) -> str:
    """What is wrong with a file that is no TOML."""
    twice = re.match(r"Cannot declare \('(\w+)',\) twice(.*)", str(error))
    if twice is None:
        return str(error)
    return f"[{twice[1]}] stands there twice{twice[2]}: of several each begins with [[{twice[1]}]], in two brackets"


def unknown_variables(model: type[BaseModel], environment: Mapping[str, str]) -> Iterator[str]:
    """One line for each variable with the prefix of settings, with one underscore or two, that is no setting: pydantic
    ignores these without an error."""
    for name in sorted(environment):
        if not name.upper().startswith(PREFIX):
            if name.upper().startswith(_NAME) and not _is_of_a_service(name.upper(), environment[name]):
                yield f"{name}: there is no such setting{_meant(name, _variables(model))}"
            continue
        path = name[len(PREFIX) :].lower().split(BETWEEN)
        for depth, part in enumerate(path):
            known = _keys(model, path[:depth])
            if part not in known:
                yield f"{name}: {'a list is given whole, as JSON' if part.isdigit() else _no_such(part, known)}"
                break


def _is_of_a_service(name: str, value: str) -> bool:
    """Whether Kubernetes or Docker set it, for a service called mammo-node or mammo-node-something."""
    rest = name.removeprefix(_NAME)
    if BETWEEN in rest:
        return False
    is_address = re.match(r"(tcp|udp|sctp)://", value) is not None
    return _OF_A_SERVICE.fullmatch(rest) is not None or (is_address and rest.endswith("PORT"))


def _variables(model: type[BaseModel], path: tuple[str, ...] = ()) -> list[str]:
    """The variables of all settings."""
    found = []
    for key in _keys(model, path):
        within = (*path, key)
        found += [PREFIX + BETWEEN.join(within).upper(), *_variables(model, within)]
    return found


def _sentence(model: type[BaseModel], path: Sequence[object], error: ErrorDetails) -> str:
    if error["type"] == "extra_forbidden":
        return _no_such(str(path[-1]), _keys(model, path[:-1]))
    sentence = _SENTENCES.get(error["type"], error["msg"]).format(**error.get("ctx", {}))
    if error["type"] == "tuple_type" and isinstance(error["input"], Mapping):
        sentence = f"must be a list of sections, each of which begins with [[{path[-1]}]], in two brackets"
    if error["type"] == "literal_error":
        choices = [choice.strip("'") for choice in str(error["ctx"]["expected"]).replace(" or ", ", ").split(", ")]
        sentence = f"must be one of: {', '.join(choices)}" + _meant(str(error["input"]), choices)
    return sentence


def _no_such(name: str, known: Sequence[str]) -> str:
    return "there is no such setting" + _meant(name, known)


def _meant(name: str, known: Sequence[str]) -> str:
    alike = get_close_matches(name.casefold(), known, n=1) or get_close_matches(name.upper(), known, n=1)
    return f"; did you mean {alike[0]}?" if alike else ""


def _keys(model: type[BaseModel], path: Sequence[object]) -> list[str]:
    """The keys of the section at `path`; none if it is a value."""
    models = [model]
    for part in path:
        if not isinstance(part, int):  # a place in a list is not a key
            fields = [section.model_fields[part] for section in models if part in section.model_fields]
            models = [found for field in fields for found in _models(field.annotation)]
    return sorted({name for section in models for name in section.model_fields})


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)
