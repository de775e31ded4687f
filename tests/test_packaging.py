"""What a user installs: the wheel's contents, the commands, the versions, and a tree that stands on its own."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, Final

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT: Final = Path(__file__).resolve().parent.parent
PACKAGES: Final = {"webnn_runtime": ROOT / "runtime", "webnn_translator": ROOT / "translator"}


def toml(path: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / path).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = out.glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_holds_both_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    expected = {
        path.relative_to(root).as_posix()
        for package, root in PACKAGES.items()
        for path in (root / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert held == expected
    assert {f"{package}/py.typed" for package in PACKAGES} <= held


def test_the_wheel_is_pure_python_and_carries_the_licence(wheel: zipfile.ZipFile) -> None:
    name = Path(str(wheel.filename)).name
    assert name == f"webnn_runtime-{toml('pyproject.toml')['project']['version']}-py3-none-any.whl"
    assert any(entry.endswith("licenses/LICENSE") for entry in wheel.namelist())


def test_the_native_wheel_carries_the_same_licence() -> None:
    """maturin takes it from the folder that it builds, and nothing from above."""
    assert (ROOT / "rust" / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


@pytest.mark.parametrize(("command", "target"), sorted(toml("pyproject.toml")["project"]["scripts"].items()))
def test_a_command_points_at_a_function(command: str, target: str) -> None:
    module, _, function = target.partition(":")
    assert callable(getattr(importlib.import_module(module), function)), command


def test_every_layer_that_is_installed_is_a_package() -> None:
    for package, root in PACKAGES.items():
        folders = {path.parent for path in (root / package).rglob("*.py")}
        assert [str(folder) for folder in sorted(folders) if not (folder / "__init__.py").is_file()] == []


def test_the_versions_agree() -> None:
    version = toml("pyproject.toml")["project"]["version"]
    changelog = re.search(r"^## \[(\d+\.\d+\.\d+)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert changelog is not None
    cargo = toml("rust/Cargo.toml")["workspace"]["package"]["version"]
    runtime = importlib.import_module("webnn_runtime").__version__
    assert {changelog[1], cargo, runtime} == {version}


def test_the_tree_needs_nothing_beside_it() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    # Of bytes: pictures are files of the tree too.
    beside = (".." + "/shared").encode()
    found = [
        name
        for name in listed.stdout.split("\0")
        if name and name != ".ci/run" and beside in (ROOT / name).read_bytes()
    ]
    assert found == []


def test_make_help_lists_every_target() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    (phony,) = re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    documented = re.findall(r"^([a-z-]+):.*## \S", text, re.MULTILINE)
    assert sorted(documented) == sorted(phony.split())
