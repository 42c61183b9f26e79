"""From a table to advice: look at its training rows, apply the rules, time what they propose on this machine.

What the user has set stays as it is; only what is left open is advised. Test and validation rows are counted, and
nothing else of them is used.
"""

import math
import time
from collections.abc import Callable, Sequence, Sized
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from anlage import planning
from anlage.adaptation.protocol import Unsuitable
from anlage.adapting import planned
from anlage.advising import facts, rules
from anlage.advising.advice import Advice, Reason, amount, duration
from anlage.advising.facts import Facts
from anlage.advising.timing import Bench, Pace, faster_threads, measure
from anlage.choosing import adopt, choose_encoders, describe
from anlage.config import merge, option_groups
from anlage.encoders import lookup as encoders
from anlage.errors import AnlageError
from anlage.foundation import is_pretrained, reads
from anlage.ladder import LEAST_EPOCHS
from anlage.modalities.inputs import Input
from anlage.settings import FitSettings
from anlage.training import batches

TOO_LONG = 2 * 3600.0
"""Seconds of training beyond which a smaller encoder, or a cheaper adaptation, is proposed: a first fit should be done
the same morning."""
FREE_PART = 0.8
"""Part of the free memory that a training may need."""
Say = Callable[[str], None]


class Draft:
    """The proposal as it grows: settings, and a reason for each change."""

    def __init__(self, settings: FitSettings):
        self.asked, self.settings = settings, settings
        self.reasons: list[Reason] = []

    def open(self, name: str) -> bool:
        """Has the user left this option at its default?"""
        group = option_groups()[name]
        return getattr(getattr(self.asked, group), name) == getattr(getattr(FitSettings(), group), name)

    def propose(self, about: str, why: str, **options: Any) -> None:
        """Set those of the options that are open, and say why."""
        chosen = {name: value for name, value in options.items() if self.open(name)}
        if chosen:
            self.settings = merge(self.settings, chosen)
            self.reasons = [reason for reason in self.reasons if reason.about != about]
            shown = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in chosen.items())
            self.reasons.append(Reason(about, shown, why))


def advise(table: str | Path | pd.DataFrame, settings: FitSettings, say: Say) -> Advice:
    """What to fit on ``table``, and how long it would take here; see :func:`anlage.advise`."""
    if settings.distillation.teacher is not None:
        raise AnlageError("advise times a fit without a teacher: leave --teacher out here, and add it to the command")
    started = time.monotonic()
    plan = planning.plan(table, settings, say)
    preparation, rows = plan.preparation, plan.folds[0].rows("train")
    frames, targets = plan.checked.take(rows), plan.targets.iloc[rows]
    preparation.fit(frames, targets)
    choice = choose_encoders(preparation, settings.model.encoder)
    rungs = planned(settings.adaptation, choice)
    adopt(preparation, choice)
    bench = Bench(preparation, choice, preparation.table(frames, targets), settings, 0, 0)
    known = facts.gather(plan, bench.table)
    bench = replace(bench, valid=known.valid, used=known.used)
    reading = time.monotonic() - started

    draft = Draft(settings)
    say("timing what is proposed: some seconds")
    cores = torch.get_num_threads()
    try:
        paces = _pretrained(draft, bench, known, rungs, say) if rungs else _fresh(draft, bench, known)
        environment = {"OMP_NUM_THREADS": "1"} if torch.get_num_threads() < cores else {}
    finally:
        torch.set_num_threads(cores)
    _judging(draft, known)
    if environment:
        why = f"faster here than {cores} threads: the model is small, or the cores are busy"
        draft.reasons.append(Reason("threads", "OMP_NUM_THREADS=1", why))
    names = ", ".join(task.target for task in preparation.tasks)
    title = f"{', '.join(Path(source).name for source in plan.samples.sources)} → {names}"
    cautions = rules.cautions(known, bool(rungs)) + _memory_cautions(paces, known)
    return Advice(title, known, draft.reasons, cautions, draft.settings, environment, paces, reading)


def _fresh(draft: Draft, bench: Bench, known: Facts) -> list[Pace]:
    """Encoders from scratch: the largest that the rules propose and that trains in good time and memory."""
    candidates = _candidates(draft, bench, known)
    sizes, why = rules.batch(known)
    draft.propose("batch", why, **sizes)
    rates = rules.rates(known)
    if rates and len(candidates) == len(known.inputs):  # they were chosen for these encoders
        draft.propose("rate", rates[1], **rates[0])
    _epochs(draft, bench)
    slower = ""
    torch.set_num_threads(faster_threads(_with_encoders(draft, bench, candidates)))
    while True:
        pace = measure(_with_encoders(draft, bench, candidates))
        if shrunk := _shrink(draft, pace, known):
            _epochs(draft, bench)
            pace = measure(_with_encoders(draft, bench, candidates))
        if (
            pace.training <= TOO_LONG
            or shrunk
            or not draft.open("budget")
            or all(len(fitting) == 1 for fitting in candidates.values())
        ):
            break
        larger = ", ".join(fitting[0].encoder for fitting in candidates.values())
        slower = slower or f"suits the machine: {larger} suits the table but could train for {duration(pace.training)}"
        candidates = {name: fitting[1:] or fitting for name, fitting in candidates.items()}
    draft.reasons = _encoder_reasons(bench, candidates, slower) + draft.reasons
    return [pace]


def _pretrained(draft: Draft, bench: Bench, known: Facts, rungs: Sequence[str], say: Say) -> list[Pace]:
    """An encoder that was trained before: how far to adapt it, of the adaptations ``rungs``."""
    candidates = _candidates(draft, bench, known)
    bench = _with_encoders(draft, bench, candidates)
    draft.reasons = _encoder_reasons(bench, candidates)
    torch.set_num_threads(faster_threads(bench))
    if draft.open("adapt") and known.labelled < rules.FEW:
        draft.propose("adaptation", f"{known.labelled:,} labelled rows: too few to change what the encoder has learned",
                      adapt="frozen")  # fmt: skip
        rungs = ("frozen",)
    paces = []
    for name in rungs:
        try:
            paces.append(measure(bench, name))
        except Unsuitable as error:
            say(f"adaptation {name} left out: {error}")
    if not paces:
        raise AnlageError(f"--adapt {rungs[0]}: does not suit this encoder; leave --adapt out")
    if len(paces) > 1:
        _climb(draft, paces)
    return paces[:1] if draft.settings.adaptation.adapt == "frozen" else paces


def _climb(draft: Draft, paces: list[Pace]) -> None:
    """How far up the ladder, where it is for the advice to say."""
    first, second, last = paces[0], paces[1], paces[-1]
    whole = sum(pace.training for pace in paces)
    names = ", then ".join(str(pace.name) for pace in paces)
    draft.reasons.append(Reason("adaptation", "auto", f"{names}: each only where the gain before it was real"))
    if whole <= TOO_LONG or not draft.open("budget"):
        return
    why = f"climbing to {last.name} could train for {duration(whole)} here"
    least = LEAST_EPOCHS * second.epoch_steps * second.step
    if least < TOO_LONG - first.training - first.vectors or not draft.open("adapt"):
        draft.propose("length", f"{why}: this bounds it", budget=f"{TOO_LONG / 3600:.0f}h")
    else:
        draft.propose("adaptation", f"{why}, and {LEAST_EPOCHS} passes of {second.name} {duration(least)}: on a faster "
                      "machine, leave --adapt out", adapt="frozen")  # fmt: skip


def _candidates(draft: Draft, bench: Bench, known: Facts) -> dict[str, list[rules.Rule]]:
    """For each input whose encoder the user has left open: what the rules propose, the first choice first."""
    words, inputs = draft.asked.model.encoder, bench.preparation.inputs
    names = [item.name for item in inputs]
    described = {one.name: one for one in known.inputs}
    return {
        item.name: rules.encoders(described[item.name], known, encoders.default_name(item.modality.shape))
        for item in inputs
        if not any(_speaks_of(word, item, names) for word in words)
    }


def _encoder_reasons(bench: Bench, candidates: dict[str, list[rules.Rule]], instead: str = "") -> list[Reason]:
    found = []
    for item in bench.preparation.inputs:
        about, chosen = _about("encoder", item.name, bench.preparation.inputs), bench.choice[item.name]
        if fitting := candidates.get(item.name):
            found.append(Reason(about, fitting[0].encoder, instead or fitting[0].why))
        else:
            source = f"{chosen.foundation.source}: " if chosen.foundation else ""
            found.append(Reason(about, f"{source}{describe(chosen.settings)}", "as you said"))
    return found


def _speaks_of(word: str, item: Input, names: Sequence[str]) -> bool:
    """Does a word of --encoder name the encoder of this input?"""
    if is_pretrained(word):
        return reads(word, item.modality)
    before, mark, _ = word.partition("=")
    if mark and before in names:
        return before == item.name
    return item.modality.shape.layout in encoders.layouts(encoders.parse(word))


def _with_encoders(draft: Draft, bench: Bench, candidates: dict[str, list[rules.Rule]]) -> Bench:
    """The bench for the draft's settings and the first candidates, which become the draft's."""
    alone = len(bench.preparation.inputs) == 1
    new = [fitting[0].encoder if alone else f"{name}={fitting[0].encoder}" for name, fitting in candidates.items()]
    draft.settings = merge(draft.settings, {"encoder": (*draft.asked.model.encoder, *new)})
    choice = choose_encoders(bench.preparation, draft.settings.model.encoder) if new else bench.choice
    return replace(bench, choice=choice, settings=draft.settings)


def _epochs(draft: Draft, bench: Bench) -> None:
    """As many passes over the training rows as make enough steps."""
    setup, rows = draft.settings.training, np.arange(len(bench.table))
    steps = len(batches.epoch(rows, bench.table.sizes(), setup.batch_tokens, setup.batch_samples, 0, 0))
    if (enough := rules.epochs(steps)) is not None:
        draft.propose("length", f"about {rules.STEPS:,} steps sufficed on tables of 400 to 54,000 rows", epochs=enough)


def _shrink(draft: Draft, pace: Pace, known: Facts) -> bool:
    """Propose batches that fit into memory; False where these do, or nothing can be done."""
    room = FREE_PART * known.machine.free - pace.fixed_bytes
    if pace.batch_bytes <= room or room <= 0:
        return False
    setup, factor = draft.settings.training, room / pace.batch_bytes
    smaller = {name: 2 ** math.floor(math.log2(max(1.0, getattr(setup, name) * factor)))
               for name in ("batch_samples", "batch_tokens")}  # fmt: skip
    before = draft.settings
    draft.propose("batch", f"a batch of {setup.batch_samples} rows needs about {amount(pace.batch_bytes)} beside the "
                  f"weights, and {amount(max(0.0, room))} can be had", **smaller)  # fmt: skip
    return draft.settings != before


def _judging(draft: Draft, known: Facts) -> None:
    """How the fit is judged: the metric where labels are unbalanced, folds where rows are few."""
    wanted = [rules.metric(target) for target in known.targets]
    first = wanted[0]
    if first is not None and all(one is not None and one[0] == first[0] for one in wanted):
        draft.propose("metric", first[1], metric=first[0])
    for target in known.targets:
        if target.weighted:
            why = "rare labels weigh more without your doing; probabilities are corrected for it"
            draft.reasons.append(Reason(_about("loss", target.name, known.targets), "weighted", why))
    if known.labelled < rules.FEW and not known.divided:
        draft.propose("split", "few rows: in cross-validation each is a test row once, which narrows the intervals",
                      folds=rules.FOLDS)  # fmt: skip


def _memory_cautions(paces: Sequence[Pace], known: Facts) -> list[str]:
    found = []
    needed = max(pace.fixed_bytes + pace.batch_bytes for pace in paces)
    if needed > FREE_PART * known.machine.free:
        what = "batches are cut in pieces where memory runs out" if known.machine.gpu else "the system may end the fit"
        found.append(f"about {amount(needed)} of memory are needed and {amount(known.machine.free)} are free: {what}; "
                     "choose a smaller encoder, or close other programs")  # fmt: skip
    return found


def _about(what: str, name: str, all_: Sized) -> str:
    return what if len(all_) == 1 else f"{what} of {name}"
