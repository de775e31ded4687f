"""Folders of case files: every JSON file below one is read, and its form is checked before anything runs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

from webnn_runtime.conformance.cases import Case
from webnn_runtime.conformance.validation import SOURCES, ValidationCase
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import FormatError

__all__ = ["AnyCase", "load_cases"]

AnyCase: TypeAlias = "Case | ValidationCase"

_WORDS: Final[Mapping[object, str]] = {dict: "object", list: "list", str: "string"}


class _Malformed(Exception):
    """What is wrong with a case, without the place."""


def load_cases(folder: Path) -> Iterator[AnyCase]:
    """Every case of every JSON file below a folder, at any depth, in order of their paths.

    Raises:
        FormatError: a file is not a case file.
    """
    for path in sorted(path for path in folder.rglob("*.json") if path.is_file()):
        source = path.relative_to(folder).with_suffix("").as_posix()
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            tests = _member(document, "tests", list)
        except (ValueError, RecursionError, _Malformed) as exc:
            raise FormatError(f"not a case file: {exc}", path=str(path)) from exc
        for index, test in enumerate(tests):
            try:
                yield _case(source, index, test)
            except _Malformed as exc:
                raise FormatError(f"not a case file: tests[{index}]: {exc}", path=str(path)) from exc


def _case(source: str, index: int, test: Any) -> AnyCase:
    name = _member(test, "name", str)
    kind = test.get("kind", "graph")
    if kind == "graph":
        _check_graph(_member(test, "graph", dict))
        if test.get("tolerance") is not None:
            _check_tolerance(test["tolerance"])
        return Case(source, index, name, test)
    if kind == "validation":
        _check_validation(test)
        return ValidationCase(source, index, name, test)
    raise _Malformed(f'\'kind\' is {kind!r}; it is "graph" or "validation"')


def _check_graph(graph: Mapping[str, Any]) -> None:
    for tensor in _member(graph, "inputs", dict).values():
        _check_tensor(tensor)
    for tensor in _filled(graph, "expectedOutputs", dict).values():
        _check_tensor(tensor)
    for operator in _filled(graph, "operators", list):
        _check_operator(operator)


def _check_validation(test: Mapping[str, Any]) -> None:
    for tensor in _member(test, "inputs", dict).values():
        _check_descriptor(tensor)
    for operator in test.get("before", []):
        _check_operator(operator)
    operator = _member(test, "operator", str)
    arguments = _check_arguments(test)
    if operator in SOURCES:
        flat = {key: value for argument in arguments for key, value in argument.items()}
        if operator == "constant" and "value" not in flat:
            buffer = _member(flat, "buffer", dict)
            _member(buffer, "type", str)
            if not _is_size(buffer.get("byteLength")):
                raise _Malformed(f"'byteLength' is {buffer.get('byteLength')!r}; give a number of bytes")
    if not isinstance(test.get("options", {}), dict):
        raise _Malformed("'options' is not an object")
    output = test.get("output")
    for descriptor in output if isinstance(output, list) else [] if output is None else [output]:
        if not isinstance(descriptor, dict) or not descriptor.keys() <= {"dataType", "shape"}:
            raise _Malformed("'output' is not a descriptor, or a list of them, of 'dataType' and 'shape'")


def _check_operator(operator: Any) -> None:
    _member(operator, "name", str)
    _check_arguments(operator)
    outputs = operator.get("outputs")
    names = outputs if isinstance(outputs, list) else [outputs]
    if not names or not all(isinstance(name, str) for name in names):
        raise _Malformed(f"'outputs' of {operator['name']} is {outputs!r}; give a name or a list of names")


def _check_arguments(operator: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    arguments: list[Mapping[str, Any]] = _member(operator, "arguments", list)
    for argument in arguments:
        if not isinstance(argument, dict) or not isinstance(argument.get("options", {}), dict | None):
            raise _Malformed(f"argument {argument!r} is not an object of one name and its value")
    return arguments


def _check_tensor(tensor: Any) -> None:
    shape = _check_descriptor(_member(tensor, "descriptor", dict))
    if "data" not in tensor or isinstance(tensor["data"], dict | bool | None):
        raise _Malformed("a tensor has no 'data'; give a list of numbers, or one number that fills it")
    data = tensor["data"]
    if isinstance(data, list) and len(data) != math.prod(shape):
        raise _Malformed(f"a tensor of shape {shape} has {len(data)} numbers")


def _check_descriptor(descriptor: Any) -> list[int]:
    name = _member(descriptor, "dataType", str)
    if name not in {dtype.value for dtype in DataType}:
        raise _Malformed(f"'dataType' is {name!r}; one of {', '.join(dtype.value for dtype in DataType)}")
    shape: list[int] = _member(descriptor, "shape", list)
    if not all(_is_size(dim) for dim in shape):
        raise _Malformed(f"'shape' is {shape}; give sizes")
    return shape


def _check_tolerance(tolerance: Any) -> None:
    kind = _member(tolerance, "type", str)
    value = tolerance.get("value")
    if kind not in ("ULP", "ATOL") or isinstance(value, bool) or not isinstance(value, int | float):
        raise _Malformed('\'tolerance\' is not {"type": "ULP" or "ATOL", "value": number}')


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _member(document: Any, name: str, kind: type) -> Any:
    if not isinstance(document, dict):
        raise _Malformed(f"a {type(document).__name__} where an object with '{name}' should be")
    if not isinstance(document.get(name), kind):
        raise _Malformed(f"'{name}' is missing or no {_WORDS[kind]}")
    return document[name]


def _filled(document: Any, name: str, kind: type) -> Any:
    found = _member(document, name, kind)
    if not found:
        raise _Malformed(f"'{name}' is empty")
    return found
