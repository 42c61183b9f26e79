"""The stages of a pretraining: gather the corpus, hold rows out, train, judge. ``api.pretrain`` calls them in turn."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

import anlage
from anlage.bundle.contents import Contents
from anlage.bundle.read import is_bundle
from anlage.bundle.read import read as read_bundle
from anlage.choosing import Choice, adopt, build_chosen, choose_encoders, describe
from anlage.config import to_dict
from anlage.corpus.corpus import Corpus, gather
from anlage.corpus.values import SEEN, seen_file, seen_hashes
from anlage.draws import HELD_OUT
from anlage.encoders import lookup as encoders
from anlage.encoders.settings import EncoderSettings
from anlage.errors import AnlageError
from anlage.evaluation.evaluate import evaluate_target, primary_metric
from anlage.evaluation.metrics_json import assemble
from anlage.evaluation.objective_baselines import objective_baselines
from anlage.evaluation.settings import EvaluationSettings
from anlage.modalities.inputs import Input
from anlage.modalities.recognise import parse
from anlage.model import Model
from anlage.pretrain_settings import PretrainSettings
from anlage.report.view import InputView, ReportView, SplitView
from anlage.shapes import shape_to_json
from anlage.summary import command, recipe, versions
from anlage.tasks import lookup as tasks
from anlage.tasks.contrastive import Contrastive
from anlage.tasks.objective import Objective
from anlage.tasks.token_objective import TokenObjective
from anlage.training.batches import PreparedTable
from anlage.training.checkpoints import Progress
from anlage.training.loop import Job, train
from anlage.training.predict import predict
from anlage.training.preparation import Preparation
from anlage.training.vectors import cache_folder

USUAL_OBJECTIVE = {"Tokens": "masked", "Grid": "masked_patches", "Columns": "denoising"}
USUAL_ENCODER = {"Tokens": "transformer-small", "Grid": "resnet-small", "Columns": "mlp-small"}
USUAL_SHARE, FEWEST_HELD, MOST_HELD, LARGEST_SHARE = 0.01, 200, 5000, 0.2
"""Held out is 1 % of the values, at least 200 and at most 5,000 of them, but never more than a fifth."""
MOST_VALID = 250
"""Held-out values that choose the weights, at most a third: validations must not eat up the budget."""
EVALUATION = EvaluationSettings()
Say = Callable[[str], None]


@dataclass
class Plan:
    """What will be trained, on what, and what judges it."""

    settings: PretrainSettings
    corpus: Corpus
    objective: Objective
    choice: Choice
    """As the bundle keeps it."""
    table: PreparedTable
    rows: dict[str, np.ndarray]
    """For "train", "valid" and "test" the rows of ``table``."""
    value_of_row: np.ndarray
    """Pieces of one value have the same number here."""
    trained_on: np.ndarray
    """Hashes of the values of the training rows."""
    how: str
    """How the rows were divided, in words."""
    data_hash: str
    split_hash: str

    @property
    def trained(self) -> Choice:
        """The encoder as it is trained: a few passes over a large corpus need no noise (ESM-2, Lin et al. 2023; Geiping
        and Goldstein 2023, arXiv:2212.14034), later fits to small tables do. What the user set is kept."""
        if not isinstance(self.objective, TokenObjective) or "dropout=" in " ".join(self.settings.model.encoder):
            return self.choice
        noisy = {f.name for f in fields(self.choice.settings)} & {"dropout", "token_dropout"}
        return replace(self.choice, settings=replace(self.choice.settings, **dict.fromkeys(noisy, 0.0)))

    @property
    def item(self) -> Input:
        """The input."""
        return self.corpus.item

    @property
    def preparation(self) -> Preparation:
        """The input and the objective, fitted."""
        return Preparation([self.item], [self.objective])

    @property
    def counts(self) -> dict[str, int]:
        """Values of each part."""
        return {part: len(np.unique(self.value_of_row[rows])) for part, rows in self.rows.items()}


def plan(source: str | Path | pd.DataFrame, settings: PretrainSettings, own: type | None, say: Say) -> Plan:
    """Read the corpus, choose objective and encoder, and hold rows out. ``own``: one's own encoder class."""
    corpus = gather(source, settings.data, cache_folder(), say)
    item = corpus.item
    objective = choose_objective(settings.objective, item)
    values = hold_out(np.flatnonzero(corpus.kept), settings.seed)
    corpus.fit(values["train"])
    wanted = settings.model.encoder or (USUAL_ENCODER[item.modality.shape.layout],)
    choice = choose_encoders(Preparation([item], [objective]), wanted, own)
    adopt(Preparation([item], [objective]), choice)
    prepared, value_of_row = corpus.prepare()
    objective.bind(item.modality.shape, item.modality.augment)
    rows = {part: np.flatnonzero(np.isin(value_of_row, chosen)) for part, chosen in values.items()}
    truth = np.broadcast_to(np.zeros((1, 1), dtype=np.float32), (len(value_of_row), 1))
    table = PreparedTable({item.name: prepared}, {objective.target: truth})
    if isinstance(objective, Contrastive):
        _must_vary(objective, item, table)
    hashes = corpus.hashes()
    share = 1 - len(values["train"]) / corpus.kept.sum()
    how = f"held out at random: {share:.1%} of the distinct values; near-duplicates can lie on both sides"
    chosen = choice[item.name]
    result = Plan(
        settings=settings, corpus=corpus, objective=objective, table=table, rows=rows, value_of_row=value_of_row,
        choice=replace(chosen, settings=suited(chosen.settings, objective)),
        trained_on=hashes[values["train"]], how=how, data_hash=_digest(np.sort(hashes[corpus.kept])),
        split_hash=_digest(*(np.sort(hashes[chosen]) for chosen in values.values())),
    )  # fmt: skip
    options = ", ".join(f"{name} {getattr(objective, name)}" for name in objective.options())
    say(f"objective: {objective.name}" + (f" ({options})" if options else ""))
    listed = ", ".join(f"{count:,} {part}" for part, count in result.counts.items())
    say(f"split: {listed} ({how}; split hash {result.split_hash[:12]})")
    return result


def choose_objective(text: str, item: Input) -> Objective:
    """ "masked:rate=0.2" → the objective; "auto" → the usual one of the input's layout. AnlageError where there is none
    of that name or option, or where it cannot work on the input."""
    name, _, rest = text.partition(":")
    layout = item.modality.layout
    kind = tasks.objective(USUAL_OBJECTIVE[layout] if name == "auto" else name)
    if layout not in kind.layouts:
        able = ", ".join(other for other in tasks.objectives() if layout in tasks.objective(other).layouts)
        raise AnlageError(f"--objective {name}: not for {item.modality.name}; choose from {able}")
    known, given = kind.options(), {}
    for piece in filter(None, rest.split(",")):
        option, sign, word = piece.partition("=")
        if option not in known or not sign:
            listed = ", ".join(f"{one}=…" for one in known) or "none"
            raise AnlageError(f"--objective {text}: no option {piece!r}; options of {kind.name}: {listed}")
        try:
            given[option] = parse(known[option], word)
        except ValueError as error:
            raise AnlageError(f"--objective {text}: {option}={word}: {error}") from None
    return kind(kind.name, [item.name], **given)


def suited(settings: EncoderSettings, objective: Objective) -> EncoderSettings:
    """The encoder's settings as the objective needs them: nothing trains a pooling by tokens, so it is the mean; next
    tokens need an encoder that reads from left to right."""
    if not isinstance(objective, TokenObjective):
        return settings
    options = {option.name for option in fields(settings)}
    if objective.causal:
        if "attention" not in options:
            able = ", ".join(name for name, family in encoders.names().items() if _reads_causally(family))
            raise AnlageError(f"--objective {objective.name}: this encoder cannot read from left to right; use {able}")
        settings = replace(settings, attention="causal")  # type: ignore[call-arg]
    if getattr(settings, "pooling", None) == "auto":
        settings = replace(settings, pooling="mean")  # type: ignore[call-arg]
    return settings


def _reads_causally(family: str) -> bool:
    return "attention" in {option.name for option in fields(encoders.families()[family])}


def _must_vary(objective: Contrastive, item: Input, table: PreparedTable) -> None:
    """AnlageError where the modality leaves its values as they are: a pair would be equal."""
    (view, _), *_ = objective.views(table.batch(np.arange(min(8, len(table)))), HELD_OUT)
    for tensor in vars(view.parts[item.name]).values():
        first, second = tensor.chunk(2)
        if not torch.equal(first.nan_to_num() if first.is_floating_point() else first,
                           second.nan_to_num() if second.is_floating_point() else second):  # fmt: skip
            return
    raise AnlageError(f"--objective contrastive: nothing varies {item.modality.name} as it is set, so a pair would be "
                      "twice the same; choose another objective, or a variation with --column")  # fmt: skip


def hold_out(values: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """The values to train on, those that choose the weights ("valid") and those that judge them ("test")."""
    count = min(max(FEWEST_HELD, round(USUAL_SHARE * len(values))), MOST_HELD, int(LARGEST_SHARE * len(values)))
    shuffled = np.random.default_rng(seed).permutation(values)
    valid = min(MOST_VALID, count // 3)
    return {
        "train": np.sort(shuffled[count:]),
        "valid": np.sort(shuffled[:valid]),
        "test": np.sort(shuffled[valid:count]),
    }


def fit_model(plan: Plan, folder: Path, say: Say, interactive: bool) -> tuple[Model, Progress]:
    """Train the model of the plan; goes on from a checkpoint in ``folder``."""
    item, settings = plan.item, plan.settings
    torch.manual_seed(settings.seed)
    model = build_chosen(plan.preparation, {item.name: plan.trained})
    if plan.choice.foundation is not None:
        _take_head(model, plan.choice.foundation.source)
    size = sum(p.numel() for p in model.encoder(item.name).parameters())
    before = f", pretrained: {plan.choice.foundation.source}" if plan.choice.foundation else ""
    say(f"encoder of {item.name}: {describe(plan.trained.settings)}, {size:,} parameters{before}")
    foundation = plan.choice.foundation and plan.choice.foundation.digest
    decided = [asdict(settings), plan.data_hash, plan.split_hash, encoders.to_json(plan.trained.settings), foundation]
    job = Job(
        model=model, tasks=[plan.objective], modalities={item.name: item.modality}, table=plan.table,
        train=plan.rows["train"], valid=plan.rows["valid"], settings=settings.training,
        metric={plan.objective.target: primary_metric(plan.objective, EVALUATION)}, seed=settings.seed, folder=folder,
        fingerprint=hashlib.sha256(json.dumps(decided, default=str).encode()).hexdigest(), say=say,
        interactive=interactive,
    )  # fmt: skip
    progress = train(job)
    say(f"trained {progress.step} steps in {progress.seconds:.0f} s; best at step {progress.best_step}")
    return model, progress


def _take_head(model: Model, source: str) -> None:
    """Go on with the head as well, where ``source`` is a bundle of the same objective on the same kind of input."""
    if not is_bundle(source):
        return
    heads, stored = model.heads.state_dict(), read_bundle(source).weights
    found = {name: stored[f"heads.{name}"] for name in heads if f"heads.{name}" in stored}
    if found.keys() == heads.keys() and all(found[name].shape == heads[name].shape for name in heads):
        model.heads.load_state_dict(found)


def judge(plan: Plan, model: Model, progress: Progress) -> dict[str, Any]:
    """metrics.json: the model and plain baselines on the same views of the held-out rows."""
    objective, judged = plan.objective, np.concatenate([plan.rows["valid"], plan.rows["test"]])
    values = predict(model, [objective], plan.table, judged)[objective.target]
    baselines = objective_baselines(objective, plan.table, plan.rows["train"], judged)
    first = len(plan.rows["valid"])
    parts = {"valid": np.arange(first), "test": np.arange(first, len(judged))}
    truth = plan.table.targets[objective.target][judged]
    groups = plan.value_of_row[judged]
    entry = evaluate_target(objective, truth, values, baselines, parts, groups, EVALUATION, plan.settings.seed)
    training = {
        "seconds": round(progress.seconds, 1),
        "steps": progress.step,
        "best_step": progress.best_step,
        "parameters": sum(p.numel() for p in model.parameters()),
    }
    return assemble(
        {objective.target: entry}, resamples=EVALUATION.resamples, seed=plan.settings.seed, split_hash=plan.split_hash,
        data_hash=plan.data_hash, training=training,
    )  # fmt: skip


def contents(plan: Plan, model: Model, progress: Progress, metrics: dict[str, Any]) -> Contents:
    """What the bundle holds."""
    prepared = plan.preparation.to_json()
    (item,) = prepared["inputs"]
    item["shape"] = shape_to_json(plan.item.modality.shape)
    item["encoder"] = encoders.to_json(plan.choice.settings)
    if plan.choice.foundation is not None:
        item["pretrained"] = {"source": plan.choice.foundation.source, "sha256": plan.choice.foundation.digest}
    return Contents(
        settings=to_dict(plan.settings),
        inputs=prepared["inputs"],
        targets=prepared["targets"],
        provenance=provenance(plan),
        metrics=metrics,
        history=progress.history,
        weights=model.state_dict(),
    )


def seen(plan: Plan) -> dict[str, bytes]:
    """The file of the bundle that lets a fit see whether its test rows were trained on; what a pretrained encoder had
    seen before counts too."""
    before = seen_hashes(plan.choice.foundation.source) if plan.choice.foundation else plan.trained_on[:0]
    return {SEEN: seen_file(np.union1d(plan.trained_on, before))}


def provenance(plan: Plan) -> dict[str, Any]:
    """Versions, hashes, seed, and what became of the corpus' rows."""
    return {
        "anlage": anlage.__version__,
        "versions": versions(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "sources": plan.corpus.sources,
        "data_hash": plan.data_hash,
        "split_hash": plan.split_hash,
        "split": plan.how,
        "seed": plan.settings.seed,
        "rows": plan.counts,
        "corpus": plan.corpus.facts,
    }


def report_view(plan: Plan, model: Model, progress: Progress, metrics: dict[str, Any], title: str) -> ReportView:
    """The report's view."""
    item, settings = plan.item, plan.settings
    size = sum(p.numel() for p in model.encoder(item.name).parameters())
    shown = InputView(item.name, item.modality.name, plan.corpus.evidence, describe(plan.trained.settings), size)
    return ReportView(
        title=title, metrics=metrics, inputs=[shown], left_out=dict(plan.corpus.left_out),
        notes=[plan.corpus.summary(), *plan.corpus.notes], pretrained=True, problems=plan.corpus.problems,
        split=SplitView(plan.how, plan.split_hash, plan.counts), history=progress.history, settings=to_dict(settings),
        command=command(settings), recipe=recipe(settings), provenance=provenance(plan),
    )  # fmt: skip


def title(plan: Plan) -> str:
    """What was made of what."""
    return f"{', '.join(Path(source).name for source in plan.corpus.sources)}: {plan.item.name} → {plan.objective.name}"


def _digest(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(len(array).to_bytes(8, "little") + array.astype("<u8").tobytes())
    return digest.hexdigest()
