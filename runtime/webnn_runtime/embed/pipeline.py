"""Texts to vectors: tokenizer, graph, pooling and what follows, as one model's files describe them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from webnn_runtime.embed.batches import plan, plan_unpadded
from webnn_runtime.embed.configuration import StrPath
from webnn_runtime.embed.counted import is_only_counted
from webnn_runtime.embed.feed import Batch, EncoderModel, Feed, Output, TextRunner, choose_output
from webnn_runtime.embed.modules import (
    Modules,
    chosen_modules,
    excludes_prompt,
    stated_dimension,
    static_libraries,
    transformer_folder,
)
from webnn_runtime.embed.settings import (
    LengthLimit,
    Prompts,
    TransformerSettings,
    read_prompts,
    read_transformer,
    read_truncate_dim,
    require_embedder,
)
from webnn_runtime.embed.stages import Normalize
from webnn_runtime.embed.tokenizer import TextTokenizer, Tokens, find_tokenizer
from webnn_runtime.embed.truncation import require_room
from webnn_runtime.embed.vocabulary import table_rows
from webnn_runtime.format.counts import is_count
from webnn_runtime.format.errors import EmbedError, EmbedMisuse
from webnn_runtime.format.records import dataclass, replace

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Pipeline"]

Floats: TypeAlias = "npt.NDArray[np.float32]"


@dataclass(frozen=True, slots=True, eq=False)
class Pipeline:
    """Everything between a text and its vector; immutable, and safe to share between threads.

    Attributes:
        model: what runs the graph.
        tokenizer: text to tokens.
        feed: tokens to the graph's inputs.
        output: which output is used.
        modules: what follows the graph; None when the graph ends with one vector per text.
        settings: lengths and the like.
        prompts: texts to put before texts.
        dimension: size of a vector.
        truncate_dim: how many of its features the model's files keep; None for all.
        runner: runs texts without padding; None where they have to be padded.
        library: whose rules make the tokens of a static embedding; None for other models.
        done: what of the modules the runner does itself: nothing, 1 for pooling, 2 for the Normalize behind it too.
    """

    model: EncoderModel
    tokenizer: TextTokenizer
    feed: Feed
    output: Output
    modules: Modules | None
    settings: TransformerSettings
    prompts: Prompts
    dimension: int
    truncate_dim: int | None = None
    runner: TextRunner | None = None
    library: str | None = None
    done: int = 0

    @classmethod
    def open(
        cls,
        model: EncoderModel,
        folder: StrPath,
        *,
        tokenizer_folder: StrPath | None = None,
        pooling: str | Iterable[str] | None = None,
        output_name: str | None = None,
        library: str | None = None,
    ) -> Pipeline:
        """Read the files beside a graph.

        Args:
            model: the loaded graph.
            folder: its folder.
            tokenizer_folder: where the tokenizer is; None for the same folder.
            pooling: pooling modes to use in place of those the files state.
            output_name: output to use in place of the one its name points to.
            library: whose rules to take of a static embedding that two libraries read; see `find_static`.

        Raises:
            EmbedError: the files do not say how to embed, or contradict the graph.
        """
        static = None
        if library is not None or static_libraries(folder):
            from webnn_runtime.embed.static import find_static, load_static  # other models start without it

            static = find_static(folder, library)
        transformer = transformer_folder(folder) if static is None else static.folder
        places = [transformer, folder] if transformer != folder else [folder]
        if tokenizer_folder is not None:
            places.append(tokenizer_folder)
        want_tokens = pooling is not None or excludes_prompt(folder)
        output = choose_output(model.outputs, name=output_name, want_tokens=want_tokens)
        found = find_tokenizer(tokenizer_folder, places)
        if static is not None:
            tokenizer, settings = load_static(static, found)
        else:
            settings = read_transformer(places, is_pooled=output.is_pooled)
            tokenizer = TextTokenizer.load(found, do_lower_case=settings.do_lower_case)
        rows = table_rows(model.graph, model.inputs)
        feed = Feed.of(
            model.inputs,
            model.graph.dims,
            model_type=settings.model_type,
            rows=rows,
            # Many graphs number the places of a row by themselves, and padding before a text would move it. What makes
            # one vector of a row may take its last token for that of the text, where padding is stated to come first.
            pads_right=not output.is_pooled or is_only_counted(model.graph),
            allows_empty=static is not None,
        )
        modules = None if output.is_pooled else chosen_modules(folder, pooling)
        if output.is_pooled and pooling is not None:
            raise EmbedMisuse(f"pooling: output '{output.name}' has one vector per text already; leave pooling= out")
        dimension = output.features if modules is None else modules.dimension(output.features)
        # A graph that allows no short texts, or asks for several at once, needs rows to put them in.
        runner, done = None, 0
        if feed.batch[0] == feed.length[0] == 1:
            mode = None if modules is None else modules.pooling.of_whole_texts
            if modules is not None and mode is not None:
                normalizes = bool(modules.stages) and isinstance(modules.stages[0], Normalize)
                runner = model.texts([output.name], mode, normalize=normalizes)
                done = 0 if runner is None else 1 + normalizes
            runner = model.texts([output.name]) if runner is None else runner
            if runner is not None and not feed.pads_alone(runner.inputs):
                runner, done = None, 0
        require_embedder([folder])
        prompts, kept = read_prompts([folder]), read_truncate_dim([folder])
        if output.is_pooled and output_name is None:
            _require_whole(output, stated_dimension(folder), kept)
        kept = None if kept is None or kept >= dimension else kept
        rules = None if static is None else static.library
        return cls(model, tokenizer, feed, output, modules, settings, prompts, dimension, kept, runner, rules, done)

    def given(self, prompts: Prompts, truncate_dim: int | None) -> Pipeline:
        """The same with these prompts, and with so many features in place of what the model's files keep.

        Raises:
            EmbedError: its vectors do not have so many.
        """
        if truncate_dim is None:
            return replace(self, prompts=prompts)
        if not is_count(truncate_dim, 1, self.dimension):
            raise EmbedMisuse(f"truncate_dim={truncate_dim!r}: expected 1 to {self.dimension}")
        return replace(self, prompts=prompts, truncate_dim=int(truncate_dim) if truncate_dim < self.dimension else None)

    @property
    def bound(self) -> LengthLimit:
        """The longest text that graph and position table take."""
        return self.feed.limit.bounded_by(self.settings.table)

    @property
    def limit(self) -> LengthLimit:
        """The model's own maximum length, as far as the graph takes it.

        Raises:
            EmbedError: it leaves no room for the special tokens.
        """
        return require_room(self.settings.limit.bounded_by(self.feed.limit), self.tokenizer.special_count)

    def limited_to(self, tokens: int) -> LengthLimit:
        """A maximum length in place of the model's own.

        Raises:
            EmbedError: the special tokens leave no room in it, or graph and position table do not take so many.
        """
        return self.bound.instead(tokens, self.tokenizer.special_count, "max_seq_length")

    @property
    def is_normalized(self) -> bool:
        """Whether vectors are known to have length 1 already."""
        return self.modules is not None and self.modules.is_normalized

    def describe(self) -> dict[str, object]:
        """What the model's files were understood to say."""
        modules = self.modules
        return {
            "output": self.output.name,
            "pooling": None if modules is None else "+".join(modules.pooling.modes),
            "modules": [] if modules is None else [type(stage).__name__ for stage in modules.stages],
            "dimension": self.truncate_dim or self.dimension,
            **({} if self.library is None else {"library": self.library}),
        }

    def prompt_length(self, prompt: str, limit: int | None) -> int:
        """Leading tokens of a text behind this prompt that pooling leaves out, where texts have at most `limit`."""
        if not prompt or self.modules is None or self.modules.pooling.include_prompt:
            return 0
        return self.tokenizer.prompt_length(prompt, limit)

    def embed(
        self,
        texts: Sequence[Tokens],
        *,
        batch_size: int,
        prompt_length: int = 0,
        on_progress: Callable[[int], object] | None = None,
    ) -> Floats:
        """Vectors [texts, dimension], in the order of `texts`.

        Args:
            texts: tokens, each within the graph's limits.
            batch_size: most texts in one run, where they have to be padded.
            prompt_length: leading tokens that belong to the prompt.
            on_progress: called with the number of texts done since the last call.

        Raises:
            EmbedError: a vector is not finite, or the graph's results do not have the declared shape.
        """
        if len(texts) == 1 and self.runner is not None:
            # Nothing to sort, to divide or to put in its place, which together take as long as the tokenizer.
            only = self._run((0,), texts, prompt_length)
            if on_progress is not None:
                on_progress(1)
            return only
        result = np.empty((len(texts), self.dimension), dtype=np.float32)
        rows = min(batch_size, self.feed.batch[1])
        lengths = [max(len(text), self.feed.length[0]) for text in texts]
        if self.runner is None:
            batches = plan(lengths, rows=rows, is_uniform=not self.feed.mixes_lengths(self.tokenizer.padding))
        else:
            batches = plan_unpadded(lengths)
        for indices in batches:
            result[indices] = self._run(indices, [texts[index] for index in indices], prompt_length)
            if on_progress is not None:
                on_progress(len(indices))
        return result

    def _run(self, indices: Sequence[int], texts: Sequence[Tokens], prompt_length: int) -> Floats:
        run = self._padded if self.runner is None else self._unpadded
        vectors = run(texts, prompt_length)
        for stage in () if self.modules is None else self.modules.stages[max(self.done - 1, 0) :]:
            vectors = stage(vectors)
        if not np.isfinite(vectors).all():
            broken = [index for index, vector in zip(indices, vectors, strict=True) if not np.isfinite(vector).all()]
            raise EmbedError(
                f"text {min(broken)}: its vector holds values that are not finite; "
                "float16 graphs overflow on some texts, a float32 one does not"
            )
        return vectors

    def _padded(self, texts: Sequence[Tokens], prompt_length: int) -> Floats:
        batch = self.feed.build(texts, self.tokenizer.padding)
        found = self.model.run(batch.feeds)[self.output.name]
        self._check_shape(found, batch)
        vectors: Floats = found[: len(texts)].astype(np.float32, copy=False)
        return vectors if self.modules is None else self.modules.pooling(vectors, batch.spans, prompt_length)

    def _unpadded(self, texts: Sequence[Tokens], prompt_length: int) -> Floats:
        assert self.runner is not None
        filled = [index for index, text in enumerate(texts) if len(text)]
        if len(filled) < len(texts) and (self.feed.allows_empty or self.done):
            # The runner has no text without tokens, and a token in its place would count here. Of zeros, normalising
            # makes nothing else.
            if self.modules is None:
                nothing = self._padded([text for text in texts if not len(text)][:1], 0)
            else:
                features = self.output.features
                nothing = self.modules.pooling.of_texts([np.empty((0, features), np.float32)], features)
            vectors = np.repeat(nothing, len(texts), axis=0)
            if filled:
                vectors[filled] = self._unpadded([texts[index] for index in filled], prompt_length)
            return vectors
        feeds, lengths = self.feed.build_texts(texts, self.tokenizer.padding, self.runner.inputs)
        found = self.runner.run(feeds, lengths)[self.output.name].astype(np.float32, copy=False)
        if self.modules is None or self.done:
            return found
        own, start = [], 0
        for text, length in zip(texts, lengths, strict=True):
            own.append(found[start : start + len(text)])
            start += length
        return self.modules.pooling.of_texts(own, self.output.features, prompt_length)

    def _check_shape(self, found: npt.NDArray[np.generic], batch: Batch) -> None:
        rows = next(iter(batch.feeds.values())).shape[0]
        expected = (rows, self.output.features) if self.output.is_pooled else (rows, batch.length, self.output.features)
        if found.shape != expected:
            raise EmbedError(
                f"output '{self.output.name}' has shape {list(found.shape)}; expected {list(expected)}, "
                "one vector per text or per token"
            )


def _require_whole(output: Output, stated: int | None, kept: int | None) -> None:
    """Refuse a graph that ends before the last module, as far as the size of its vectors tells."""
    if stated not in (None, output.features) and kept != output.features:
        raise EmbedError(
            f"output '{output.name}' has vectors of {output.features} features, and the last of the modules makes "
            f"{stated}: the graph ends before it; name the output with token vectors by output_name=, or export the "
            "model with all of its modules"
        )
