"""The operator table against the Web IDL of the specification, and the declarations against TypeScript's compiler."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
from specification import Specification

from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.ops import OPS, Option
from webnn_runtime.format.ops.kinds import Choice
from webnn_translator.emit import ModuleSource, emit_module, emit_types

pytestmark = pytest.mark.browser

# A program that is right but for three lines, which say so.
USE: Final = """
import { load, run, build, unsupported, createContext, fetchWeights, model, UnsupportedError } from "./model.mjs";
const graph = await load({ dimensions: { length: 2 }, onProgress: (loaded, total) => console.log(loaded / total) });
const results = await run(graph, { x: [1, 2] });
const shape: readonly number[] = results.y.shape;
const values: Float32Array = results.y.data;
const most: number = model.dimensions.length.max;
try {
  const context = await createContext({ accelerated: true });
  const reasons: string[] = unsupported(context);
  await build(context, await fetchWeights(), graph.dimensions);
} catch (error) {
  if (error instanceof UnsupportedError) console.log(error.reasons.join(), shape, most, values);
}
// @ts-expect-error: there is no such output
results.z;
// @ts-expect-error: there is no such input
await run(graph, { z: [1] });
// @ts-expect-error: a dimension is missing
await load({ dimensions: {} });
"""


@pytest.fixture(scope="session")
def idl(fetched: Path) -> Specification:
    return Specification((fetched / "webnn.idl").read_text(encoding="utf-8"))


def test_the_table_has_the_operators_of_the_specification(idl: Specification) -> None:
    assert idl.methods.keys() == OPS.keys()


@pytest.mark.parametrize("op", OPS)
def test_a_row_is_what_the_specification_declares(idl: Specification, op: str) -> None:
    spec, method = OPS[op], idl.methods[op]
    operands = [row.name for row in spec.operands if not row.optional]
    positional = sorted((option for option in spec.options if option.positional), key=lambda option: option.positional)
    spellings: list[tuple[str, ...]] = [(name,) for name in operands]
    spellings += [(option.name, *option.aliases) for option in positional]
    assert len(method.required) == len(spellings)
    for (_, name), known in zip(method.required, spellings, strict=True):
        assert name in known
    kinds = [kind for kind, _ in method.required]
    assert [kind in ("MLOperand", "sequence<MLOperand>") for kind in kinds] == [True] * len(operands) + [False] * len(
        positional
    )
    is_list = len(spec.results) > 1 or spec.results[0].variadic
    assert (method.result == "sequence<MLOperand>") == is_list
    members = idl.members(method.options)
    assert members.pop("label") == ("USVString", "")
    optional = {row.name for row in spec.operands if row.optional}
    assert {name for name, (kind, _) in members.items() if kind == "MLOperand"} == optional
    own = {option.name: option for option in spec.options if not option.positional}
    assert members.keys() - optional == own.keys()
    for name, option in own.items():
        agrees(idl, option, *members[name])


def agrees(idl: Specification, option: Option, kind: str, default: Any) -> None:
    """Words and defaults of an option, where the IDL states them."""
    if kind in idl.enums and isinstance(option.kind, Choice):
        assert option.kind.words == idl.enums[kind]
    if default is not None:
        value = option.value_when_absent([], {}, older=False) if option.default_for is None else None
        assert getattr(value, "value", value) == default


@pytest.mark.parametrize(
    ("library", "more"), [("es2022", ""), ("esnext", "await run(graph, { x: new Float16Array(2) });")]
)
def test_typescript_accepts_the_declaration_and_its_use(fetched: Path, tmp_path: Path, library: str, more: str) -> None:
    builder = GraphBuilder(dims=[DynamicDim("length", 64)])
    x = builder.input("x", DataType.FLOAT32, (symbol("length"),))
    source = ModuleSource(builder.build({"y": builder.op("relu", x)}))
    (tmp_path / "model.mjs").write_text(emit_module(source), encoding="utf-8")
    (tmp_path / "model.d.mts").write_text(emit_types(source), encoding="utf-8")
    (tmp_path / "use.mts").write_text(USE + more, encoding="utf-8")
    node = shutil.which("node")
    assert node is not None
    compiler = fetched / "typescript" / "lib" / "tsc.js"
    options = ["--strict", "--noEmit", "--target", "es2022", "--module", "nodenext", "--lib", f"{library},dom"]
    done = subprocess.run([node, str(compiler), *options, "use.mts"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
