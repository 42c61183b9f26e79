"""Iterative stratification: parts that are alike in many labels at once."""

import numpy as np
from scipy.sparse import csr_array


def iterative(counts: csr_array, sizes: np.ndarray, wanted: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """[groups] the number of each group's part.

    Whole groups are drawn in place of single rows, else as Sechidis, Tsoumakas and Vlahavas 2011 ("On the
    stratification of multi-label data", ECML PKDD, algorithm 1): the label that is rarest among the rows that are left
    comes first, and each row that has it goes to the part that lacks it most, among equals to the one that lacks rows.
    Labels too rare to reach every part are left to chance.

    Args:
        counts: [groups, labels] rows of each group that have a label; groups are drawn in this order within a label.
        sizes: [groups] rows of each group.
        wanted: [parts] fractions, summing to 1.
        random: breaks what ties remain.
    """
    totals = np.asarray(counts.sum(axis=0)).reshape(-1)
    counts = csr_array(counts[:, np.flatnonzero(totals * wanted.min() >= 1)])
    left = np.asarray(counts.sum(axis=0), dtype=np.int64).reshape(-1)
    lacking = np.outer(left, wanted)
    room = wanted * sizes.sum() + random.uniform(0, 0.5, len(wanted))
    by_label = counts.tocsc()
    chosen = np.full(len(sizes), -1, dtype=np.int64)

    def put(group: int, part: int) -> None:
        has = slice(counts.indptr[group], counts.indptr[group + 1])
        labels, rows = counts.indices[has], counts.data[has]
        lacking[labels, part] -= rows
        left[labels] -= rows
        room[part] -= sizes[group]
        chosen[group] = part

    while (left > 0).any():
        label = int(np.argmin(np.where(left > 0, left, np.iinfo(np.int64).max)))
        members = by_label.indices[by_label.indptr[label] : by_label.indptr[label + 1]]
        for group in members[chosen[members] < 0]:
            most = np.flatnonzero(lacking[label] > lacking[label].max() - 1e-6)
            put(int(group), int(most[np.argmax(room[most])]))
    for group in np.flatnonzero(chosen < 0):
        put(int(group), int(np.argmax(room)))
    return chosen
