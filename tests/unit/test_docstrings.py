"""The examples in the docstrings of public names run as they stand, beside the bundles that they speak of."""

from __future__ import annotations

import doctest
import inspect
from importlib import import_module

import pytest

# Whoever is meant to use a module's names looks for an example of each.
MODULES = ("webnn_runtime", "webnn_runtime.backends", "webnn_runtime.embed")
# What is only raised, passed on or derived from; the others are shown by an example of somebody else.
WITHOUT = {
    "Backend": "docs/backends.md has one whole",
    "CompileOptions": "its fields are those of load",
    "Comparison": "what compare gives",
    "Executable": "what compile_graph gives",
    "backend_names": "like available_backends",
}


def public() -> dict[str, object]:
    found = {}
    for name in MODULES:
        module = import_module(name)
        found |= {f"{name}.{each}": getattr(module, each) for each in module.__all__}
    return {name: each for name, each in found.items() if inspect.isclass(each) or inspect.isfunction(each)}


def is_only_raised(each: object) -> bool:
    return inspect.isclass(each) and issubclass(each, Exception) and each.__name__ != "WebnnError"


@pytest.mark.parametrize("name", public())
def test_a_public_name_has_an_example_that_runs(name, make_encoder, tmp_path, monkeypatch) -> None:
    each = public()[name]
    tests = [test for test in doctest.DocTestFinder(recurse=False).find(each, name) if test.examples]
    assert inspect.getdoc(each)
    assert bool(tests) != (is_only_raised(each) or name.rpartition(".")[2] in WITHOUT)
    make_encoder("model-webnn")
    make_encoder("classifier-webnn", labels=("no", "yes"))
    monkeypatch.chdir(tmp_path)
    shown: list[str] = []
    for test in tests:
        failed = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=shown.append).failed
        assert not failed, "".join(shown)
