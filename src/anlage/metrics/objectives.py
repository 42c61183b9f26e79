"""Metrics of objectives: sums over what was predicted of each sample, divided by counts.

An objective has no truth in the table (``truth`` only says which samples there are). Its values are sums and counts for
each sample, so that a resample of samples weighs every prediction alike, whatever the lengths of the samples.
"""

import numpy as np
from jaxtyping import Float

from anlage.metrics.metric import ERROR, SHARE, Function, Metric
from anlage.metrics.weighted import over_chunks

Array = np.ndarray
Resampled = Float[np.ndarray, " resamples"]


def ratio(sums: int, counts: int) -> Function:
    """Column ``sums`` over column ``counts``, both added up over the samples; NaN where nothing was counted."""

    def of(truth: Array, values: Array, weights: Array) -> Resampled:
        return over_chunks(weights, lambda w: (w @ values[:, sums]) / (w @ values[:, counts]))

    return of


def perplexity(truth: Array, values: Array, weights: Array) -> Resampled:
    """exp of the mean negative log-likelihood (nats) of the tokens. Values: sum, right ones, count."""
    with np.errstate(over="ignore"):
        return np.exp(ratio(0, 2)(truth, values, weights))


PERPLEXITY = Metric("perplexity", perplexity, False, "Jelinek et al. 1977, doi:10.1121/1.2016299", ERROR)
TOKEN_ACCURACY = Metric("token_accuracy", ratio(1, 2), True, "share of right tokens", SHARE)

PATCH_ERROR = Metric("patch_error", ratio(0, 1), False, "Xie et al. 2022 (SimMIM), arXiv:2111.09886; squared", ERROR)

CELL_LOSS = Metric(
    "cell_loss", ratio(0, 1), False, "squared errors and cross entropies of the hidden cells, their mean", ERROR
)
NUMBER_ERROR = Metric(
    "number_error", ratio(2, 3), False, "mean squared error of the hidden standardised numbers", ERROR
)
CATEGORY_ACCURACY = Metric("category_accuracy", ratio(4, 5), True, "share of right hidden categories", SHARE)

RECIPROCAL_RANK = Metric(
    "mean_reciprocal_rank", ratio(3, 2), True, "Voorhees 1999, TREC-8 question answering track", SHARE
)
RETRIEVAL = Metric("retrieval_accuracy", ratio(1, 2), True, "Chen et al. 2020 (SimCLR), arXiv:2002.05709: top 1", SHARE)
CONTRASTIVE_LOSS = Metric("contrastive_loss", ratio(0, 2), False, "Chen et al. 2020 (SimCLR), eq. 1", ERROR)
