"""Texts for the cases: words in a fixed random order, cut to the wanted number of tokens by the bundle's tokenizer."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Final

from webnn_runtime.embed.tokenizer import TextTokenizer, Tokens

__all__ = ["cut", "paragraph_lengths", "read_texts", "short_lengths"]

_VOCABULARY: Final = """
the a of and to in is was for with on as by at from that this it not are were has had will can about after again
air almost along animal answer area autumn bank bridge bright brother build captain carry castle century change
children city clear cloud coast cold colour common corner country course cross dark daughter deep distance
doctor dream early earth east engine evening every family farm father field figure fire floor forest form found
friend garden glass ground group harbour heart heavy high history hour house idea island journey kitchen lake
language large letter light line listen little machine market matter measure morning mother mountain music
narrow nature never night north number ocean office often open order paper people picture place plain plant
point power problem quiet rain reach reason river road rock room round school science season second shape ship
short silver simple small snow song sound south spring station stone story street strong summer table teacher
thousand three through time town travel tree valley village voice water weather west wheel white window winter
wonder wood word world yellow yesterday railway telescope laboratory architecture unexpectedly approximately
refrigerator kilometres encyclopaedia
"""
_WORDS: Final = tuple(_VOCABULARY.split())
# Mean 58 tokens between 10 and 256, as paragraphs of encyclopaedias and news have after truncation.
_MEDIAN: Final = 45
_SPREAD: Final = 0.72
_SHORTEST: Final = 10
_LONGEST: Final = 256


def short_lengths(count: int) -> list[int]:
    """About 10 tokens each: 7 to 13 in turn."""
    return [7 + index % 7 for index in range(count)]


def paragraph_lengths(count: int, seed: int = 0) -> list[int]:
    """Log-normal lengths of 10 to 256 tokens in a random order, the same for the same `seed`."""
    normal = NormalDist(math.log(_MEDIAN), _SPREAD)
    drawn = [round(math.exp(normal.inv_cdf((index + 0.5) / count))) for index in range(count)]
    lengths = [min(max(length, _SHORTEST), _LONGEST) for length in drawn]
    random.Random(seed).shuffle(lengths)
    return lengths


def cut(tokenizer: TextTokenizer, lengths: Sequence[int], seed: int = 0) -> list[Tokens]:
    """One text for each of `lengths`, of exactly so many tokens, special tokens included."""
    chance = random.Random(seed)
    found: list[Tokens] = []
    for length in lengths:
        # A word is at least one token, so there are enough of them to be cut.
        text = " ".join(chance.choices(_WORDS, k=length))
        found.extend(tokenizer.encode([text], length))
    return found


def read_texts(path: Path, tokenizer: TextTokenizer, limit: int | None) -> list[Tokens]:
    """The user's own texts, one a line, cut to the model's limit.

    Raises:
        FileNotFoundError: there is no such file.
        EmbedError: it is no UTF-8, or holds no text.
    """
    from webnn_runtime.evaluation.texts import read_texts as lines_of

    lines = lines_of(path)
    return tokenizer.encode(lines, limit)
