"""What a call of `encode` gives, by its `precision`: for type checkers, and never loaded by who embeds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypedDict, overload

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from typing_extensions import Unpack

    from webnn_runtime.embed.ranges import Ranges

__all__ = ["Encode", "EncodeMethod", "EncodeOptions"]

Texts: TypeAlias = "str | Iterable[str]"
Vectors: TypeAlias = "npt.NDArray[Any]"


class EncodeOptions(TypedDict, total=False):
    """The arguments of `encode` that have no say in the type of its result."""

    prompt: str | None
    prompt_name: str | None
    truncate_dim: int | None
    normalize_embeddings: bool | None
    show_progress_bar: bool | None
    convert_to_numpy: bool
    convert_to_tensor: bool
    ranges: Ranges | npt.ArrayLike | None


class Encode(Protocol):
    """A bound `encode`, `encode_query` or `encode_document`."""

    @overload
    def __call__(
        self,
        texts: Texts,
        batch_size: int = ...,
        normalize: bool = ...,
        show_progress: bool | None = ...,
        *,
        precision: Literal["float32"] | None = ...,
        **options: Unpack[EncodeOptions],
    ) -> npt.NDArray[np.float32]: ...
    @overload
    def __call__(
        self,
        texts: Texts,
        batch_size: int = ...,
        normalize: bool = ...,
        show_progress: bool | None = ...,
        *,
        precision: Literal["float16"],
        **options: Unpack[EncodeOptions],
    ) -> npt.NDArray[np.float16]: ...
    @overload
    def __call__(
        self,
        texts: Texts,
        batch_size: int = ...,
        normalize: bool = ...,
        show_progress: bool | None = ...,
        *,
        precision: Literal["int8", "binary"],
        **options: Unpack[EncodeOptions],
    ) -> npt.NDArray[np.int8]: ...
    @overload
    def __call__(
        self,
        texts: Texts,
        batch_size: int = ...,
        normalize: bool = ...,
        show_progress: bool | None = ...,
        *,
        precision: Literal["uint8", "ubinary"],
        **options: Unpack[EncodeOptions],
    ) -> npt.NDArray[np.uint8]: ...
    @overload
    def __call__(
        self,
        texts: Texts,
        batch_size: int = ...,
        normalize: bool = ...,
        show_progress: bool | None = ...,
        *,
        precision: str | None = ...,
        **options: Any,
    ) -> Vectors: ...


class EncodeMethod(Protocol):
    """The same, before it is bound."""

    def __get__(self, instance: object, owner: type | None = None) -> Encode: ...
