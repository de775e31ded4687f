"""The vectors of a text's tokens as one vector, as the last steps of a plan over texts.

Whoever wants one vector of each text then gets no array of all tokens: of 128 tokens that is written, read by one
thread and given back to the system, which together take as long as two of MiniLM's sixty steps.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from webnn_runtime.backends.rust._calls import Attribute, Call
from webnn_runtime.backends.rust._packing import STARTS, NotPacked, Packed
from webnn_runtime.backends.rust._roles import TEXTS
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import TensorType
from webnn_runtime.format.records import replace

__all__ = ["pool"]

# The smallest norm that torch.nn.functional.normalize divides by, as `embed.stages` does: a zero vector stays zero.
_SMALLEST_NORM: Final = 1e-12
# By what `embed.pooling` calls them; each sums in float64 in the order of the tokens and rounds once, as it does.
_REDUCTIONS: Final = {"mean": "reduceMean", "max": "reduceMax"}
# The step from a text's start, or from the next one's, to the token.
_CHOICES: Final = {"cls": (0, 0), "lasttoken": (1, -1)}


def pool(packed: Packed, values: dict[str, str], mode: str, normalize: bool) -> tuple[Packed, dict[str, str]]:
    """The same calls with one vector of each text behind them, and what the outputs are then.

    Args:
        packed: calls over texts.
        values: the value of each output.
        mode: one of `webnn_runtime.embed.pooling.POOLING_MODES`.
        normalize: whether to scale each vector to length 1.

    Raises:
        NotPacked: there is no such step, or an output has no vectors of tokens in float32.
    """
    calls, types, constants = list(packed.calls), dict(packed.types), dict(packed.constants)
    found: dict[str, str] = {}

    def add(kind: str, operands: tuple[str, ...], result: str, own: TensorType, **attributes: Attribute) -> str:
        calls.append(Call(kind, operands, (result,), attributes))
        types[result] = own
        return result

    for output, value in values.items():
        kind = types[value]
        if kind.dtype is not DataType.FLOAT32 or kind.rank != 3 or not packed.results[output]:
            raise NotPacked(f"'{value}' has no vectors of tokens to pool")
        made, result = kind.with_shape((TEXTS, kind.shape[2])), f"{output}:{mode}"
        if mode in _REDUCTIONS:
            options: dict[str, Attribute] = {
                "of": ("text", _REDUCTIONS[mode]),
                "perToken": ("bool", False),
                "axes": ("ints", (1,)),
                "keepDimensions": ("bool", False),
            }
            add("eachText", (value, STARTS), result, made, **options)
        elif mode in _CHOICES:
            first, step = _CHOICES[mode]
            places = TensorType(DataType.INT32, (TEXTS,))
            cut: dict[str, Attribute] = {
                "starts": ("dims", (first,)),
                "sizes": ("dims", (TEXTS,)),
                "strides": ("dims", (1,)),
            }
            chosen = add("slice", (STARTS,), f"{result}:starts", places, **cut)
            if step:
                name = f"{result}:step"
                constants[name] = np.array([step], np.int32)
                types[name] = TensorType(DataType.INT32, (1,))
                chosen = add("add", (chosen, name), f"{result}:places", places)
            rows = add(
                "gather", (value, chosen), f"{result}:rows", kind.with_shape((1, TEXTS, kind.shape[2])), axis=("int", 1)
            )
            add("view", (rows,), result, made)
        else:
            raise NotPacked(f"there is no step for pooling '{mode}'")
        if normalize:
            result = add("unitNorm", (result,), f"{result}:unit", made, epsilon=("float", _SMALLEST_NORM))
        found[output] = result
    results = dict.fromkeys(packed.results, False)
    return replace(packed, calls=calls, types=types, constants=constants, results=results), found
