"""What a model's `config.json` says about its labels: their names, and what makes scores of logits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from webnn_runtime.embed.configuration import StrPath, expect, read_optional
from webnn_runtime.format.errors import EmbedError
from webnn_runtime.format.records import dataclass

__all__ = ["ACTIVATIONS", "Labels", "read_labels"]

ACTIVATIONS: Final = ("softmax", "sigmoid", "none")
_BY_PROBLEM: Final = {
    "regression": "none",
    "multi_label_classification": "sigmoid",
    "single_label_classification": "softmax",
}
# Classes of torch that cross-encoders name.
_BY_CLASS: Final = {"Identity": "none", "Sigmoid": "sigmoid", "Softmax": "softmax"}


@dataclass(frozen=True, slots=True)
class Labels:
    """Names of the classes, and how their logits become scores.

    Attributes:
        names: one per logit.
        activation: one of `ACTIVATIONS`.
        problem: as `config.json` states it; empty where it does not.
    """

    names: tuple[str, ...]
    activation: str
    problem: str = ""

    def scores(self, logits: npt.NDArray[np.float32], activation: str | None = None) -> npt.NDArray[np.float32]:
        """Scores [texts, labels] of logits [texts, labels]."""
        chosen = self.activation if activation is None else activation
        if chosen == "none":
            return logits
        wide = logits.astype(np.float64)
        if chosen == "softmax":
            powers = np.exp(wide - wide.max(axis=-1, keepdims=True))
            shares: npt.NDArray[np.float32] = (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)
            return shares
        # The exponent is never positive: exp of a large one would overflow.
        small = np.exp(-np.abs(wide))
        return np.where(wide >= 0, 1 / (1 + small), small / (1 + small)).astype(np.float32)


def read_labels(folders: Sequence[StrPath], count: int) -> Labels:
    """Labels from the first `config.json` in `folders`, for a graph with `count` logits.

    As transformers chooses: `problem_type` decides, and without one a single label is a sigmoid and several are a
    softmax. A cross-encoder's files may state another function, which holds for a single label in any case, and for
    several where there is no `problem_type`. Labels without names are LABEL_0, LABEL_1, ...

    Raises:
        EmbedError: there is no file, it does not fit the graph, or a function is stated that is not known here.
    """
    found = read_optional(folders, "config.json")
    if found is None:
        raise EmbedError(
            f"{folders[0]}: has no config.json, so nothing says what its labels are; "
            "convert the model from its folder, or put its config.json into the bundle"
        )
    path, settings = found
    names = _names(path, expect(path, settings, "id2label", dict), count)
    problem = expect(path, settings, "problem_type", str, "")
    if problem and problem not in _BY_PROBLEM:
        raise EmbedError(f"{path}: 'problem_type' is '{problem}'; expected one of {', '.join(_BY_PROBLEM)}")
    stated = _stated_activation(folders, path, settings)
    # A single label is a yes or no, whatever else is stated of it, unless it is a quantity.
    usual = "sigmoid" if problem != "regression" and count == 1 else _BY_PROBLEM.get(problem, "softmax")
    # Of several labels "none" is what sentence-transformers writes where nobody has chosen.
    if stated is None or (count > 1 and (problem or stated == "none")):
        return Labels(names, usual, problem)
    return Labels(names, stated, problem)


def _stated_activation(folders: Sequence[StrPath], path: str, settings: Mapping[str, Any]) -> str | None:
    """What the files of a cross-encoder say, of which every few releases have another form; None for others."""
    key = "activation_fn"
    saved = read_optional(folders, "config_sentence_transformers.json") or (path, {})
    older = expect(path, settings, "sentence_transformers", dict, {})
    places = ((*saved, key), (path, older, key), (path, settings, "sbert_ce_default_activation_function"))
    for where, holder, name in places:
        dotted = expect(where, holder, name, str)
        if dotted is None:
            continue
        package, _, known = dotted.rpartition(".")
        if known not in _BY_CLASS or package.split(".")[0] != "torch":
            raise EmbedError(
                f"{where}: '{name}' is '{dotted}'; the supported ones are {', '.join(_BY_CLASS)} of torch.nn, so "
                "take it out and apply the function to scores(..., function_to_apply='none') yourself"
            )
        return _BY_CLASS[known]
    return None


def _names(path: str, stated: dict[str, Any] | None, count: int) -> tuple[str, ...]:
    if stated is None:
        return tuple(f"LABEL_{index}" for index in range(count))
    if len(stated) != count or set(stated) != {str(index) for index in range(count)}:
        raise EmbedError(f"{path}: 'id2label' names {len(stated)} labels, and the graph has {count} logits")
    return tuple(str(stated[str(index)]) for index in range(count))
