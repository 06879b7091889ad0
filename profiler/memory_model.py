"""What compositions take of memory, by what their options take, fitted to readings of a device.

It is a sum over options: what makes the sums come nearest to all readings (least squares). As no composition may take
more than its sum, the originals get what the sums fall short by at most, and a standard deviation for the many that
were not weighed: plans are chosen because their sums are small, so often among those that the sums are too small for.

Tensors share a workspace, of which a composition needs as much as the option that needs most. So a sum may also be
fitted to what is held beside that. How much options need is known roughly from their files (`workspaces`), and where
options that need the same are those that need most in several readings, these correct it.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from legodnn.arrays import Floats
from legodnn.store import Store

if TYPE_CHECKING:
    from typing_extensions import Self

_ROUNDS = 4  # of correction: another workspace may be the largest then
_FEW = 6  # readings in which options need most; with fewer their workspace is not corrected

Composition = tuple[int, ...]  # the number of the option that each segment runs
Extra = Mapping[tuple[int, int], float]  # by the numbers of a segment and of its option


class MemoryModel(NamedTuple):
    """What compositions take: the most workspace that one of their options needs, and a sum over all of them.

    Attributes:
        workspaces: by segment, the bytes of workspace that each option needs; all 0 for sums alone.
        whole: the bytes of the originals, without workspace.
        extra: what other options take more than originals (see `sums_that_hold`).
        share: by segment, what the original takes of `whole`.
    """

    workspaces: Sequence[Sequence[int]]
    whole: float
    extra: Extra
    share: Sequence[float]

    @classmethod
    def fitted(
        cls, store: Store, readings: Sequence[tuple[Composition, float]], workspaces: Sequence[Sequence[int]]
    ) -> Self:
        """Fit what options take to readings, so that no composition took more.

        Args:
            store: the store.
            readings: compositions and their bytes.
            workspaces: by segment, the bytes of workspace that each option needs by its file; 0 for sums alone.
        """
        originals, by_file = originals_of(store), workspaces
        for _ in range(_ROUNDS if any(map(any, workspaces)) else 0):
            workspaces = _corrected(originals, readings, workspaces, by_file)
        apart = [(numbers, held - _most(workspaces, numbers)) for numbers, held in readings]
        whole, extra = sums_that_hold(originals, apart)
        return cls(workspaces, whole, extra, _shares(store, whole, extra))

    def of(self, numbers: Composition) -> float:
        """The bytes that a composition takes."""
        more = sum(self.extra.get(key, 0.0) for key in enumerate(numbers))
        return self.whole + more + _most(self.workspaces, numbers)

    def of_option(self, segment: int, number: int) -> int:
        """The bytes that an option takes, its workspace apart."""
        return round(self.share[segment] + self.extra.get((segment, number), 0.0))

    def excess(self, readings: Sequence[tuple[Composition, float]]) -> float:
        """How much more than they took compositions are said to take, as a mean."""
        return statistics.fmean(self.of(numbers) - held for numbers, held in readings)


def _most(workspaces: Sequence[Sequence[int]], numbers: Composition) -> int:
    return max(row[number] for row, number in zip(workspaces, numbers, strict=True))


def _corrected(
    originals: Composition,
    readings: Sequence[tuple[Composition, float]],
    workspaces: Sequence[Sequence[int]],
    by_file: Sequence[Sequence[int]],
) -> list[list[int]]:
    """Return workspaces with which readings are told better: by how much they are off where one option needs most.

    Options of a segment that need the same by their files are corrected together. What the option has that needs most
    among the originals stays, since only differences can be told from the rest.
    """

    def needing_most(numbers: Composition) -> tuple[int, int]:
        segment, number = max(enumerate(numbers), key=lambda key: workspaces[key[0]][key[1]])
        return segment, by_file[segment][number]

    most = [needing_most(numbers) for numbers, _ in readings]
    wrong = [key for key, count in Counter(most).items() if count >= _FEW and key != needing_most(originals)]
    _, terms = _terms(originals, readings)
    offsets = np.array([[one == key for key in wrong] for one in most]).reshape(len(readings), len(wrong))
    apart = [held - _most(workspaces, numbers) for numbers, held in readings]
    fitted = np.linalg.lstsq(np.hstack([terms, offsets]), np.array(apart), rcond=None)[0]
    found = [list(row) for row in workspaces]
    for (segment, need), offset in zip(wrong, fitted[terms.shape[1] :], strict=True):
        for number, same in enumerate(by_file[segment]):
            if same == need:
                found[segment][number] = max(0, round(found[segment][number] + offset))
    return found


def originals_of(store: Store) -> Composition:
    """Return the composition of a store's originals."""
    return tuple(s.options.index(s.original) for s in store.manifest.segments)


def sums_that_hold(originals: Composition, weighed: Sequence[tuple[Composition, float]]) -> tuple[float, Extra]:
    """Fit what options take to readings of compositions, so that no composition took more than the sum.

    Args:
        originals: the composition of the originals.
        weighed: compositions and their bytes.

    Returns:
        The bytes of the originals; and for each other option that occurs, the bytes that it takes more than the
        original of its segment.

    Example:

        >>> whole, extra = sums_that_hold((0, 0), [((0, 0), 100), ((0, 1), 70), ((0, 0), 106), ((0, 1), 70)])
        >>> round(whole), round(extra[1, 1])  # 103 + 3 + sqrt((9 + 9) / 4), and 70 - 103
        (108, -33)
    """
    keys, terms = _terms(originals, weighed)
    held = np.array([reading for _, reading in weighed], np.float64)
    fitted = np.linalg.lstsq(terms, held, rcond=None)[0]
    short = held - terms @ fitted
    return float(fitted[0] + short.max() + short.std()), dict(zip(keys, map(float, fitted[1:]), strict=True))


def _terms(
    originals: Composition, weighed: Sequence[tuple[Composition, float]]
) -> tuple[list[tuple[int, int]], Floats]:
    """Return the options that are not originals and occur; and for each composition 1, and whether it has each."""
    replaced = [{(i, n) for i, n in enumerate(numbers) if n != originals[i]} for numbers, _ in weighed]
    keys = sorted(set[tuple[int, int]]().union(*replaced))
    return keys, np.array([[1.0, *(key in found for key in keys)] for found in replaced])


def _shares(store: Store, whole: float, extra: Extra) -> list[float]:
    """What each segment's original takes of the bytes that all of them take.

    An original takes what its smallest option saves, at least, and as much for each byte of its file as options save
    for each byte that their files are smaller, by the median; what is left is divided equally.

    Args:
        store: the store.
        whole: bytes of memory of all originals.
        extra: what options take more than originals, as `sums_that_hold` returns it.
    """
    segments = store.manifest.segments
    files = [s.original.bytes for s in segments]
    smaller = {(i, n): files[i] - segments[i].options[n].bytes for i, n in extra}
    rate = max(0.0, statistics.median([-extra[key] / size for key, size in smaller.items() if size > 0] or [1.0]))
    least = [max([0.0, *(-more for (i, _), more in extra.items() if i == at)]) for at in range(len(files))]
    wanted = [max(0.0, size * rate - saved) for size, saved in zip(files, least, strict=True)]
    left = max(0.0, whole - sum(least))
    fraction = min(1.0, left / sum(wanted)) if any(wanted) else 0.0
    equal = (left - fraction * sum(wanted)) / len(files)
    return [saved + fraction * more + equal for saved, more in zip(least, wanted, strict=True)]
