"""The layers: which part of the project may know which, read from the sources with `ast`.

A layer is a folder (or a file) of one of the two packages; the longest matching row owns a module. A row says
which other layers it may import and which libraries besides NumPy and the standard library. What is not in a
row is refused, so a new layer has to be written down here first.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT: Final = Path(__file__).resolve().parent.parent
PACKAGES: Final = {"webnn_runtime": ROOT / "runtime", "webnn_translator": ROOT / "translator"}

RUNTIME: Final = "webnn_runtime"
TRANSLATOR: Final = "webnn_translator"


@dataclass(frozen=True)
class Layer:
    """What one part may import: other layers, and libraries."""

    layers: frozenset[str] = frozenset()
    libraries: frozenset[str] = frozenset()
    everything: bool = False


def layer(*layers: str, libraries: str = "", everything: bool = False) -> Layer:
    return Layer(frozenset(layers), frozenset(libraries.split()), everything)


FORMAT: Final = "webnn_runtime.format"
REFERENCE: Final = "webnn_runtime.reference"
PASSES: Final = "webnn_runtime.passes"
BACKENDS: Final = "webnn_runtime.backends"
BASE: Final = "webnn_runtime.backends.base"
HUB: Final = "webnn_runtime.hub"
EMBED: Final = "webnn_runtime.embed"
CLASSIFY: Final = "webnn_runtime.classify"
EVALUATION: Final = "webnn_runtime.evaluation"
API: Final = "webnn_runtime.api"
BENCH: Final = "webnn_runtime.bench"

# Importing `webnn_runtime.backends` is how a backend is asked for by name: it loads none of them by itself.
LAYERS: Final = {
    FORMAT: layer(),
    API: layer(FORMAT, BACKENDS, BASE),
    REFERENCE: layer(FORMAT),
    PASSES: layer(FORMAT, REFERENCE),
    BASE: layer(FORMAT),
    BACKENDS: layer(FORMAT, BASE),
    "webnn_runtime.backends.numpy": layer(FORMAT, REFERENCE, PASSES, BASE),
    "webnn_runtime.backends.onnxruntime": layer(FORMAT, REFERENCE, PASSES, BASE, libraries="onnx onnxruntime"),
    "webnn_runtime.backends.rust": layer(FORMAT, REFERENCE, PASSES, BASE, libraries="webnn_kernels"),
    HUB: layer(FORMAT, libraries="huggingface_hub"),
    # The last one is for type checkers alone, which bring it.
    EMBED: layer(FORMAT, BACKENDS, BASE, HUB, RUNTIME, libraries="tokenizers tqdm typing_extensions"),
    CLASSIFY: layer(FORMAT, HUB, EMBED, RUNTIME),
    EVALUATION: layer(FORMAT, HUB, EMBED, CLASSIFY, RUNTIME),
    "webnn_runtime.conformance": layer(FORMAT, API, BASE),
    # Rivals are other libraries, each loaded in a process of its own.
    BENCH: layer(everything=True),
    "webnn_runtime.cli": layer(everything=True),
    # `python -m webnn_runtime`, which is `webnn`, and `python -m webnn_translator`, which is `webnn-convert`.
    "webnn_runtime.__main__": layer("webnn_runtime.cli"),
    "webnn_translator.__main__": layer("webnn_translator.cli"),
    # The top of the package: the short way in.
    RUNTIME: layer(FORMAT, API, BACKENDS, BASE, EMBED, CLASSIFY),
    TRANSLATOR: layer(FORMAT, REFERENCE, HUB, libraries="onnx"),
    # The modules of a static embedding are in its graph, and are read the way the embedder reads them.
    "webnn_translator.sources": layer(
        FORMAT, REFERENCE, HUB, EMBED, TRANSLATOR, libraries="onnx google torch transformers"
    ),
    "webnn_translator.verify": layer(
        FORMAT, REFERENCE, HUB, BACKENDS, BASE, EMBED, TRANSLATOR, RUNTIME, libraries="onnx google onnxruntime"
    ),
    "webnn_translator.quantize": layer(
        FORMAT, REFERENCE, HUB, BACKENDS, BASE, EMBED, EVALUATION, TRANSLATOR, "webnn_translator.verify"
    ),
    "webnn_translator.emit": layer(FORMAT),
    # The whole way from a source to a checked bundle.
    "webnn_translator.bundling": layer(
        FORMAT,
        PASSES,
        TRANSLATOR,
        "webnn_translator.sources",
        "webnn_translator.verify",
        "webnn_translator.quantize",
    ),
    "webnn_translator.cli": layer(everything=True),
}
ONLY_INSIDE_FUNCTIONS: Final = frozenset(
    [
        "huggingface_hub",
        "onnxruntime",
        "sentence_transformers",
        "tokenizers",
        "torch",
        "transformers",
        "typing_extensions",
        "webnn_kernels",
    ]
)


def modules() -> Iterator[tuple[str, Path]]:
    for root in PACKAGES.values():
        for path in sorted(root.rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def owner(module: str) -> str:
    """The most specific layer that holds `module`."""
    found = [name for name in LAYERS if module == name or module.startswith(f"{name}.")]
    return max(found, key=len)


def imports(module: str, source: str, *, is_package: bool = False) -> Iterator[tuple[str, int, bool]]:
    """Every module that `source` imports: its name, the line, and whether the import runs with the module."""
    tree = ast.parse(source)
    package = module.split(".") if is_package else module.split(".")[:-1]
    deferred: set[ast.AST] = set()
    for node in ast.walk(tree):
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if is_function or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
            deferred.update(ast.walk(node))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            anchor = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*anchor, *([node.module] if node.module else [])])
            # `from package import module` reaches the module, not only the package.
            names = [full if (full := f"{base}.{alias.name}") in MODULE_NAMES else base for alias in node.names]
        else:
            continue
        for name in names:
            yield name, node.lineno, node not in deferred


MODULES: Final = dict(modules())
MODULE_NAMES: Final = frozenset(MODULES)


def violations(module: str, source: str, *, is_package: bool = False) -> list[str]:
    own = owner(module)
    rule = LAYERS[own]
    found = []
    for name, line, runs_with_module in imports(module, source, is_package=is_package):
        where = f"{module}:{line}"
        top = name.partition(".")[0]
        if top in ONLY_INSIDE_FUNCTIONS and runs_with_module:
            found.append(f"{where}: '{top}' is loaded when the module is; import it inside the function that needs it")
        if rule.everything or top in sys.stdlib_module_names or top == "numpy":
            continue
        if top in PACKAGES:
            target = owner(name)
            if target != own and target not in rule.layers:
                found.append(f"{where}: '{own}' imports '{name}'; it may import {sorted(rule.layers)}")
        elif top not in rule.libraries:
            found.append(f"{where}: '{own}' imports the library '{top}'; it may import {sorted(rule.libraries)}")
    return found


def test_every_row_is_about_something_that_exists() -> None:
    assert set(LAYERS) - {owner(module) for module in MODULES} == set()


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_its_layer_may(module: str) -> None:
    path = MODULES[module]
    source = path.read_text(encoding="utf-8")
    assert violations(module, source, is_package=path.name == "__init__.py") == []


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("webnn_runtime.format.x", "import onnx", "the library 'onnx'"),
        ("webnn_runtime.format.x", "from webnn_runtime.backends.base import Backend", "'webnn_runtime.backends.base'"),
        ("webnn_runtime.backends.numpy.x", "import webnn_runtime.backends.rust.y", "'webnn_runtime.backends.rust.y'"),
        ("webnn_runtime.reference.x", "from ..passes import fold", "'webnn_runtime.passes"),
        ("webnn_runtime.reference.x", "def f():\n    from webnn_runtime.hub import x", "'webnn_runtime.hub"),
        ("webnn_runtime.embed.x", "import tokenizers", "is loaded when the module is"),
        ("webnn_translator.ops.x", "def f():\n    import onnxruntime", "the library 'onnxruntime'"),
    ],
)
def test_a_forbidden_import_is_seen(module: str, source: str, complaint: str) -> None:
    found = violations(module, source)
    assert len(found) == 1
    assert complaint in found[0]


HEAVY: Final = [
    "onnx",
    "onnxruntime",
    "tokenizers",
    "huggingface_hub",
    "webnn_kernels",
    "torch",
    "transformers",
    "typer",
    "rich",
    "tqdm",
    "safetensors",
]
# The command line needs its libraries at once, and whoever imports that backend wants ONNX.
LIGHT: Final = [
    name
    for name in LAYERS
    if name.startswith(RUNTIME)
    and name in MODULE_NAMES
    and name not in {"webnn_runtime.cli", "webnn_runtime.__main__", "webnn_runtime.backends.onnxruntime"}
]


def loaded_by(module: str) -> set[str]:
    """Which of the heavy libraries come with a module."""
    code = f"import sys, {module}; print(*sorted({{n.partition('.')[0] for n in sys.modules}} & set({HEAVY!r})))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": os.pathsep.join(map(str, PACKAGES.values()))},
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("module", LIGHT)
def test_importing_a_package_loads_nothing_heavy(module: str) -> None:
    assert loaded_by(module) == set()


@pytest.mark.parametrize("module", ["webnn_runtime.cli.app", "webnn_translator.quantize"])
def test_offering_commands_and_switches_needs_only_what_draws_them(module: str) -> None:
    assert loaded_by(module) <= {"typer", "rich"}


CRATES: Final = {
    "kernels": frozenset(),
    "engine": frozenset({"kernels", "bytemuck", "libm"}),
    "bindings": frozenset({"engine", "kernels", "pyo3", "numpy"}),
}


@pytest.mark.parametrize("crate", CRATES)
def test_a_crate_depends_only_on_what_its_layer_may(crate: str) -> None:
    manifest = tomllib.loads((ROOT / "rust" / crate / "Cargo.toml").read_text(encoding="utf-8"))
    used = {name.removeprefix("webnn-") for name in manifest.get("dependencies", {})}
    assert used <= CRATES[crate]


def test_the_native_python_package_imports_nothing_of_ours() -> None:
    sources = sorted((ROOT / "rust" / "webnn_kernels").glob("*.py*"))
    assert sources
    tops = {
        name.partition(".")[0]
        for path in sources
        if path.suffix in {".py", ".pyi"}
        for name, _, _ in imports("webnn_kernels", path.read_text(encoding="utf-8"), is_package=True)
    }
    assert tops <= {*sys.stdlib_module_names, "numpy", "webnn_kernels"}
