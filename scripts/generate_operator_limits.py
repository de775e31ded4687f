"""Write scripts/wpt/operator_limits.json for wpt_to_cases.mjs, from the operator table; `make docs` calls this.

python scripts/generate_operator_limits.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from webnn_runtime.api.limits import op_support_limits
from webnn_runtime.api.operators import positional_names
from webnn_runtime.format.ops import OPS

TARGET: Final = Path(__file__).resolve().parent / "wpt" / "operator_limits.json"


def render() -> str:
    """One operator a line: its positional arguments, its results, and what `opSupportLimits()` says of it."""
    limits = op_support_limits({})
    operators = {
        name: {
            "arguments": positional_names(spec),
            "results": [_result(row) for row in spec.results],
            "limits": limits.pop(name),
        }
        for name, spec in OPS.items()
    }
    lines = ",\n".join(f"    {json.dumps(name)}: {json.dumps(row)}" for name, row in operators.items())
    return f'{{\n  "context": {json.dumps(limits)},\n  "operators": {{\n{lines}\n  }}\n}}\n'


def _result(row: Any) -> str:
    return "any number" if row.variadic else "optional" if row.optional else "always"


def main() -> None:
    """Write the file."""
    TARGET.write_text(render(), encoding="utf-8")
    print(TARGET)


if __name__ == "__main__":
    main()
