"""Keeps what a detector learns from apart from what it is judged on.

Two clips are linked when they share a source repository, a system or a speaker. A split of a
corpus must cut no link, and neither may a fold of cross-validation inside the training split.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from detectors.audio import AudioError, read
from detectors.errors import HearsayError

from .manifest import UNKNOWN, Clip

Link = tuple[str, str]  # ("system" | "speaker" | "source", name)

# "encodec-6kbps", "hifigan-v2", "kokoro-82m", "bigvgan-base": one system in several editions
EDITION = re.compile(r"-([\d.]+kbps|v\d+|[\d.]+[mb]|tiny|small|base|medium|large)$")


def system_key(system: str) -> str:
    """The name of a system without bitrate, version or size, at every stage of "a+b"."""
    return "+".join(EDITION.sub("", stage) for stage in system.split("+"))


def links(clip: Clip) -> set[Link]:
    """What ties a clip to others, whatever the case and blanks of the names.

    Nobody is tied by an unknown system or an absent source.
    """
    tied = {("speaker", clip.speaker), ("source", clip.repository)}
    if clip.is_spoof and clip.system != UNKNOWN:
        tied.add(("system", system_key(clip.system)))
    return {(kind, " ".join(name.casefold().split())) for kind, name in tied if name}


def check_disjoint(clips: Sequence[Clip]) -> None:
    """Raise HearsayError when a system, a speaker or a source repository stands in two splits.

    Bitrates, versions and sizes of one system count as one. Clips without a split are ignored.
    """
    splits: dict[Link, set[str]] = defaultdict(set)
    for clip in clips:
        if clip.split:
            for link in links(clip):
                splits[link].add(clip.split)
    shared = sorted(link for link, names in splits.items() if len(names) > 1)
    if shared:
        named = ", ".join(
            f"{kind} {name!r} ({' and '.join(sorted(splits[kind, name]))})"
            for kind, name in shared[:5]
        )
        more = f" and {len(shared) - 5} more" if len(shared) > 5 else ""
        raise HearsayError(f"The splits are not disjoint: they share the {named}{more}.")


def refuse_same_audio(clips: Sequence[Clip]) -> None:
    """Raise HearsayError when two files of the same content are of two splits or two labels.

    Files that cannot be read, such as a server's error page under many names, are no recordings;
    whoever reads them counts them.
    """
    by_size: dict[int, list[Clip]] = defaultdict(list)
    for clip in clips:
        by_size[clip.path.stat().st_size].append(clip)
    for size, alike in by_size.items():
        first: dict[bytes, Clip] = {}
        if not size or len({(clip.split, clip.label) for clip in alike}) < 2:
            continue
        for clip in alike:
            with clip.path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").digest()
            other = first.setdefault(digest, clip)
            if (other.split, other.label) != (clip.split, clip.label) and _is_recording(clip):
                raise HearsayError(
                    f"{other.path} ({other.label} {other.split}) and {clip.path} ({clip.label} "
                    f"{clip.split}) are the same recording: keep one."
                )


def _is_recording(clip: Clip) -> bool:
    try:
        read(clip.path, require_speech=False)
    except AudioError:
        return False
    return True


def folds(clips: Sequence[Clip], k: int) -> list[list[int]]:
    """Divide clips into k groups with no link between any two; a group is a list of indices.

    Clips that hang together stay together. In a grown corpus a few frequent voices and vocoders
    tie nearly everything into one group larger than a fold; that group is cut into its source
    repositories, each system and speaker belongs to the fold that holds most of its clips, and
    the clips which then stand between two folds are in none of them: a third of the clips, and
    the price of folds that do not leak. Raises HearsayError when a fold would lack a label.
    """
    if not 2 <= k <= len(clips):
        raise HearsayError(f"{len(clips)} clips cannot make {k} folds; two is the least.")
    tied = [links(clip) for clip in clips]
    fold_of = _deal(_units(clips, tied, limit=len(clips) / k), tied, k)
    votes: dict[Link, Counter[int]] = defaultdict(Counter)
    for i, own in enumerate(tied):
        for link in own:
            votes[link][fold_of[i]] += 1
    home = {link: max(sorted(count), key=lambda n: count[n]) for link, count in votes.items()}
    groups: list[list[int]] = [[] for _ in range(k)]
    for i, own in enumerate(tied):
        if all(home[link] == fold_of[i] for link in own):
            groups[fold_of[i]].append(i)
    for n, group in enumerate(groups):
        if len({clips[i].label for i in group}) < 2:
            raise HearsayError(f"Fold {n} of {k} would not hold both labels; take fewer folds.")
    return groups


def fold(clips: Sequence[Clip], k: int, n: int) -> tuple[list[Clip], list[Clip]]:
    """The clips to train on and those held out in fold n (0 to k - 1) of k.

    No clip to train on shares a source repository, a system or a speaker with one held out.
    """
    if not 0 <= n < k:
        raise HearsayError(f"There is no fold {n} among {k}; they count from 0 to {k - 1}.")
    held_out = [clips[i] for i in folds(clips, k)[n]]
    taken = set().union(*(links(clip) for clip in held_out))
    return [clip for clip in clips if not links(clip) & taken], held_out


def _units(clips: Sequence[Clip], tied: Sequence[set[Link]], limit: float) -> list[list[int]]:
    """What is dealt as one: linked clips, or, where these are too many, those of one source."""
    column: dict[Link, int] = {}
    edges = [(i, column.setdefault(x, len(column))) for i, own in enumerate(tied) for x in own]
    rows, columns = [i for i, _ in edges], [len(clips) + j for _, j in edges]
    size = len(clips) + len(column)
    graph = coo_array(([1] * len(edges), (rows, columns)), shape=(size, size))
    component = connected_components(graph, directed=False)[1][: len(clips)]
    sizes = Counter(component.tolist())
    units: dict[tuple[int, str], list[int]] = defaultdict(list)
    for i, (clip, number) in enumerate(zip(clips, component.tolist(), strict=True)):
        part = (clip.repository or clip.speaker) if sizes[number] > limit else ""
        units[number, part].append(i)
    return list(units.values())


def _deal(units: list[list[int]], tied: Sequence[set[Link]], k: int) -> dict[int, int]:
    """Index -> fold: in random order, each unit to the fold with room that it is tied to most."""
    random.Random(0).shuffle(units)  # the same folds for every recipe, or none could be ranked
    room = [sum(map(len, units)) / k] * k
    inside = [Counter[Link]() for _ in range(k)]
    fold_of: dict[int, int] = {}
    for unit in units:
        counts = Counter(link for i in unit for link in tied[i])
        shared = [(counts & inside[n]).total() if room[n] >= len(unit) else -1 for n in range(k)]
        best = max(range(k), key=lambda n: (shared[n], room[n]))
        room[best] -= len(unit)
        inside[best] += counts
        fold_of.update(dict.fromkeys(unit, best))
    return fold_of
