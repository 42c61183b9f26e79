"""The rules of the advice: plain, named, each with what it rests on.

Where a data set is named, the settings were chosen on its validation rows, and the figures stand in
benchmarks/README.md. What rests on no measurement of ours says "rule of thumb" or names its source.
"""

import math
from dataclasses import dataclass

from anlage.advising.facts import Facts, InputFacts, TargetFacts
from anlage.tasks.labels import RARE
from anlage.training.loop import USUAL_EPOCHS

FEW = 500
"""Labelled training rows below which no network beat the plain baselines, but for variants of one parent: breast
biopsies (410 rows), tumour subtypes (120), leukaemia (30)."""
LARGE = 20_000
"""Training rows from which wider networks paid (promoter activity, protein stability)."""
HUGE = 200_000
"""Training rows from which larger encoders are a rule of thumb: none of our data sets is so large."""
SHORT = 100
"""Tokens up to which every layer can afford to see every token."""
LONG = 320
"""Tokens from which a wide view pays more than a fine one."""


@dataclass(frozen=True)
class Rule:
    """An encoder for inputs with at least ``rows`` labelled training rows and sizes within the given bounds."""

    encoder: str
    why: str
    rows: int = 0
    tokens: tuple[float, float] = (0, math.inf)
    """Median tokens: from, to (inclusive)."""
    aligned: bool = False
    pixels: int = 0
    """Shortest side, at least."""
    gpu: bool = False
    """For a GPU only."""

    def fits(self, one: InputFacts, facts: Facts) -> bool:
        """Does the rule hold for this input?"""
        return (
            facts.labelled >= self.rows
            and self.tokens[0] <= one.tokens <= self.tokens[1]
            and self.aligned == one.aligned
            and min(one.pixels, default=0) >= self.pixels
            and facts.machine.gpu >= self.gpu
        )


ENCODERS: dict[str, tuple[Rule, ...]] = {
    "Tokens": (
        Rule("cnn-tiny:layers=3,stride=1", "variants of one parent: every position has a meaning of its own, so every "
             "layer sees every position (fluorescence, GB1 binding)", aligned=True),
        Rule("cnn-medium", "very many rows and a GPU feed a large network (rule of thumb)", rows=HUGE, gpu=True),
        Rule("cnn-small", "very many rows feed a larger network (rule of thumb)", rows=HUGE),
        Rule("cnn:width=96,layers=4,kernel=7,stride=1", "short sequences, so every layer can see every token; many "
             "rows, so it can be wider (protein stability)", rows=LARGE, tokens=(0, SHORT)),
        Rule("cnn:width=96,layers=5,kernel=9,stride=2", "many rows, so it can be wider (promoter activity)",
             rows=LARGE, tokens=(SHORT, LONG)),
        Rule("cnn:width=96,layers=6,kernel=7,token_dropout=0.1", "long sequences: wide and deep enough to see far "
             "(protein location)", rows=5_000, tokens=(LONG, math.inf)),
        Rule("cnn:width=64,layers=5,kernel=7", "enough rows for one layer and wider kernels more than the smallest "
             "(promoters)", rows=5_000, tokens=(SHORT, math.inf)),
        Rule("cnn-tiny:stride=1", "short sequences, so every layer can see every token (signal peptides)", rows=FEW,
             tokens=(0, SHORT)),
        Rule("cnn-tiny", "too few rows for more than the smallest: it learns motifs and is quick"),
    ),
    "Grid": (
        Rule("resnet-medium", "very many images and a GPU feed a large network (rule of thumb)", rows=HUGE, pixels=64,
             gpu=True),
        Rule("resnet-small", "many images that are not small feed a larger network (rule of thumb)", rows=LARGE,
             pixels=64),
        Rule("resnet-tiny", "small images or not many of them (chest X-rays of 28 x 28 pixels)"),
    ),
    "Columns": (
        Rule("mlp-tiny", "small and quick; on plain columns boosted trees are as good on most tables, and an "
             "ft-transformer was no better here for several times the time (mammography)"),
    ),
}  # fmt: skip
"""For each layout, the rules from the most demanding to the one that always holds. The first that fits is proposed; the
others that fit are smaller, and come next where the first takes too long on the machine. Trees on plain columns:
Grinsztajn 2022, doi:10.48550/arXiv.2207.08815."""


def encoders(one: InputFacts, facts: Facts, usual: str) -> list[Rule]:
    """What fits this input, the first proposal first; ``usual`` where no rule speaks of its layout."""
    fitting = [rule for rule in ENCODERS.get(one.layout, ()) if rule.fits(one, facts)]
    return fitting or [Rule(usual, "the usual encoder of its kind: no rule says more")]


SAMPLES = ((200, 16), (4_000, 32), (50_000, 64), (math.inf, 128))
"""(training rows below, samples in a batch): what worked on 13 data sets."""
SAMPLES_OF_TOKENS = 32
"""A batch of sequences holds so many of median length at least."""
MOST_TOKENS = 32_768
AVERAGED = {"learning_rate": 0.002, "average": 0.99}
"""Convolutional and residual networks: a high rate, and averaged weights against its noise (10 data sets)."""
PLAIN = {"average": 0.95}
"""Small networks on plain columns."""
CAREFUL = {"average": 0.95, "learning_rate": 0.0005}
"""More columns than rows."""
STEPS = 3_000
"""Optimiser steps that were enough on data sets of 400 to 54,000 rows."""
LEAST_EPOCHS = 5


def batch(facts: Facts) -> tuple[dict[str, int], str]:
    """Rows and tokens in a batch for fresh encoders, and why."""
    options = {"batch_samples": next(int(count) for below, count in SAMPLES if facts.rows < below)}
    why = f"suited tables of this size ({facts.rows:,} training rows)"
    tokens = sum(one.tokens for one in facts.inputs)
    if tokens * SAMPLES_OF_TOKENS > 8192:
        options["batch_tokens"] = min(MOST_TOKENS, 2 ** math.ceil(math.log2(tokens * SAMPLES_OF_TOKENS)))
        why += f"; a row has {tokens:,} tokens (median), so with fewer tokens a batch would hold few rows"
    return options, why


def rates(facts: Facts) -> tuple[dict[str, float], str] | None:
    """Learning rate and averaging for the encoders that these rules propose, and why; None = as usual."""
    layouts = {one.layout for one in facts.inputs}
    if layouts <= {"Tokens", "Grid"}:
        return AVERAGED, "a high rate and averaged weights suited convolutional networks on most data sets"
    if layouts != {"Columns"}:
        return None
    if max(one.columns for one in facts.inputs) > facts.rows:
        return CAREFUL, "more columns than rows: a low rate and averaged weights (gene expression)"
    return PLAIN, "averaged weights steady a small network"


def epochs(epoch_steps: int) -> int | None:
    """Passes over the training rows; None = as usual."""
    enough = max(LEAST_EPOCHS, math.ceil(STEPS / epoch_steps))
    return enough if enough < USUAL_EPOCHS else None


RARE_SHARE = 0.1
"""Where fewer rows than this are positive, AUROC hides false alarms among the many negatives (Saito & Rehmsmeier 2015,
doi:10.1371/journal.pone.0118432)."""


def metric(target: TargetFacts) -> tuple[str, str] | None:
    """The metric that should decide where labels are unbalanced, and why; None where the usual one serves."""
    if not target.labels:
        return None
    most, least = (pick(target.labels, key=lambda label: target.labels[label]) for pick in (max, min))
    counts = sorted(target.labels.values())
    if target.task == "multilabel" and counts[len(counts) // 2] < RARE_SHARE * target.rows:
        return "macro_average_precision", (
            f"half of the labels stand in fewer than {RARE_SHARE:.0%} of the rows: AUROC hides false alarms there"
        )
    if target.task == "classification" and len(counts) == 2 and counts[0] < RARE_SHARE * target.rows:
        share = counts[0] / target.rows
        return "average_precision", f"{share:.1%} of the rows are {least!r}: AUROC hides false alarms among the others"
    if target.task == "classification" and len(counts) > 2 and counts[-1] >= RARE * counts[0]:
        return "macro_f1", f"{most!r} has {counts[-1]:,} rows, {least!r} {counts[0]:,}: accuracy overlooks rare ones"
    return None


FEW_OF_A_LABEL = 10
"""Training rows of a label, below which it is hardly learned or judged."""
FOLDS = 5
UNHELPED = 5_000
"""Rows of DNA below which a network from scratch lost to boosted trees on words."""


def cautions(facts: Facts, pretrained: bool) -> list[str]:
    """What the user should know before the fit."""
    aligned = any(one.aligned for one in facts.inputs)
    found = []
    if facts.labelled < FEW and not aligned:
        found.append(
            f"{facts.labelled:,} labelled training rows: below {FEW}, no network in our benchmarks beat the plain "
            "baselines by more than chance. The fit tunes them beside it and says which is better"
        )
    for one in facts.inputs:
        found += _input_cautions(one, facts, pretrained)
    for target in facts.targets:
        poor = [label for label, count in target.labels.items() if count < FEW_OF_A_LABEL]
        if poor:
            shown = ", ".join(f"{label!r}: {target.labels[label]}" for label in poor[:5])
            found.append(
                f"{target.name}: {len(poor)} of {len(target.labels)} labels have fewer than {FEW_OF_A_LABEL} training "
                f"rows ({shown}): they can hardly be learned or judged"
            )
    return found


def _input_cautions(one: InputFacts, facts: Facts, pretrained: bool) -> list[str]:
    if one.aligned and pretrained:
        return [f"{one.name}: variants of one parent differ too little for frozen vectors (fluorescence: rank "
                "correlation .43 with ESM-1b's, .68 with a small network from scratch, as published)"]  # fmt: skip
    if one.aligned:
        return [f"{one.name}: ridge regression on positions can rank variants as well as a network (fluorescence)"]
    if one.columns > facts.rows:
        return [f"{one.name}: {one.columns:,} columns and {facts.rows:,} training rows: a linear model is hard to beat "
                "(leukaemia: AUROC .98 against .94)"]  # fmt: skip
    found = []
    if one.modality in ("dna", "rna") and facts.labelled < UNHELPED and not pretrained:
        found.append(f"{one.name}: with fewer than {UNHELPED:,} rows, a network from scratch lost to boosted trees on "
                     "words of DNA (enhancers: accuracy .60 against .69)")  # fmt: skip
    if one.layout == "Tokens" and facts.labelled < LARGE and not pretrained:
        found.append(f"{one.name}: a pretrained encoder often helps most where rows are few: --encoder with a bundle "
                     "of `anlage pretrain`, a checkpoint's folder, or hf:ORG/NAME")  # fmt: skip
    return found
