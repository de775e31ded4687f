"""Case number n of seed s: always the same files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from fuzz_mutations import damage_folder
from fuzz_sources import Sound, bundles, node_models, own_models


@dataclass(frozen=True)
class Case:
    """A sound file and what is done to it.

    Attributes:
        sound: what is damaged.
        changes: a seed for each change.
        thorough: which of the slower ways it goes.
    """

    sound: Sound
    changes: tuple[int, ...]
    thorough: int

    def files(self) -> dict[str, bytes]:
        """The damaged files."""
        files = dict(self.sound.files)
        for change in self.changes:
            files = damage_folder(files, Random(change))
        return files


def pool(*, small: bool = False) -> tuple[Sequence[Sound], ...]:
    """Where cases come from, one family after the other; `small` leaves out what takes seconds to make."""
    return (own_models(), bundles()) if small else (own_models(), node_models(), bundles())


def case_of(seed: int, number: int, families: Sequence[Sequence[Sound]]) -> Case:
    """One case; families are equally likely, whatever their sizes."""
    rng = Random(f"{seed}/{number}")
    sound = rng.choice(rng.choice(families))
    changes = tuple(rng.getrandbits(48) for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 5))))
    return Case(sound, changes, rng.getrandbits(16))
