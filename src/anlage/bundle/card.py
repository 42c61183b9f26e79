"""``MODEL_CARD.md``: what the model is, how good it is and where it must not be used, in Hugging Face's format.

Source: Mitchell et al. 2019, Model Cards for Model Reporting; metadata as in huggingface.co/docs/hub/model-cards.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from anlage.bundle.card_trust import trust_lines
from anlage.bundle.contents import Contents
from anlage.bundle.limits import limits
from anlage.bundle.markdown import plain
from anlage.bundle.numbers import count, interval, known

_PARTS = {"test": "test", "valid": "validation"}


def model_card(title: str, contents: Contents) -> str:
    """The card as Markdown with a YAML head. It shows no row of the data; what only people know is left as open items,
    and the bundle stays valid when they are filled in."""
    metrics, provenance = contents.metrics, contents.provenance
    lines = [*_metadata(title, contents), "", f"# {plain(title)}", "", f"**{plain(metrics.get('verdict', ''))}**", ""]
    lines += ["## What it does", "", *_what(contents), ""]
    lines += ["## How good it is", "", *_scores(metrics), ""]
    if trusted := trust_lines(metrics):
        lines += ["## How far to trust it", "", *trusted, ""]
    lines += ["## Data and split", "", *_data(provenance), ""]
    lines += ["## Intended use", "", *_open_items(), ""]
    lines += ["## Limits", "", *(f"- {plain(line)}" for line in limits(metrics, contents.pretrained)), ""]
    use = "anlage predict THIS_FOLDER new_rows.csv -o predictions.csv"
    if contents.pretrained:
        use = "anlage fit TABLE --target COLUMN --encoder THIS_FOLDER"
    lines += ["## How to use it", "", "```", use, "```", ""]
    versions = {"anlage": provenance.get("anlage", ""), **provenance.get("versions", {})}
    made = ", ".join(f"{plain(name)} {plain(version)}" for name, version in versions.items())
    lines += [f"Made on {plain(provenance.get('created', 'an unknown day'))} with {made}.", ""]
    return "\n".join(lines)


def _metadata(title: str, contents: Contents) -> list[str]:
    """YAML whose scalars are JSON strings: every JSON string is a YAML string, whatever stands in it."""
    tags = ["anlage", "biology", *dict.fromkeys(entry["modality"]["modality"] for entry in contents.inputs)]
    tasks = list(dict.fromkeys(entry["task"] for entry in contents.targets))
    lines = ["---", "library_name: anlage", "tags:", *(f"- {json.dumps(tag)}" for tag in tags + tasks)]
    source = ", ".join(_sources(contents.provenance)) or "unnamed"
    results = []
    for target, part, entry in _model_parts(contents.metrics):
        listed = [
            line
            for name, cell in entry.items()
            if known(cell.get("value"))
            for line in (f"    - type: {json.dumps(name)}", f"      value: {cell['value']!r}")
        ]
        if listed:
            results += [
                "  - task:",
                f"      type: {json.dumps(contents.metrics['targets'][target]['task'])}",
                f"      name: {json.dumps(target)}",
                "    dataset:",
                f"      type: {json.dumps('table')}",
                f"      name: {json.dumps(source)}",
                f"      split: {json.dumps(_PARTS[part])}",
                "    metrics:",
                *listed,
            ]
    if results:
        lines += ["model-index:", f"- name: {json.dumps(title)}", "  results:", *results]
    return [*lines, "---"]


def _what(contents: Contents) -> Iterator[str]:
    for entry in contents.inputs:
        columns = ", ".join(f"`{plain(name)}`" for name in entry["columns"][:12])
        more = f" and {len(entry['columns']) - 12} more columns" if len(entry["columns"]) > 12 else ""
        yield f"- reads {columns}{more} as {plain(entry['modality']['modality'])}"
    for entry in contents.targets:
        if contents.pretrained:
            yield f"- is an encoder, trained without labels by the objective {plain(entry['task'])}: predicts nothing"
        else:
            yield f"- predicts `{plain(entry['target'])}` ({plain(entry['task'])})"


def _scores(metrics: Mapping[str, Any]) -> Iterator[str]:
    for target, part, model in _model_parts(metrics):
        entry = metrics["targets"][target]
        names = list(model)
        baselines = {name: found.get(part, {}) for name, found in entry.get("baselines", {}).items()}
        yield f"`{plain(target)}`, {_PARTS[part]} part:"
        yield ""
        yield f"| | {' | '.join(plain(name) for name in names)} |"
        yield "|---" * (len(names) + 1) + "|"
        rows = [("**this model**", model), *((plain(name), cells) for name, cells in baselines.items())]
        for who, cells in rows:
            yield f"| {who} | {' | '.join(' '.join(interval(cells.get(name))).strip() for name in names)} |"
        yield ""
    if metrics.get("level"):
        unit = metrics.get("resampled", "rows")
        yield f"In brackets: {metrics['level']:.0%} bootstrap intervals over {unit}. Baselines saw the same rows."


def _data(provenance: Mapping[str, Any]) -> Iterator[str]:
    yield f"- from {', '.join(f'`{plain(name)}`' for name in _sources(provenance)) or 'an unnamed table'}"
    rows = provenance.get("rows", {})
    if rows:
        yield "- rows: " + ", ".join(f"{count(n)} {plain(_PARTS.get(part, part))}" for part, n in rows.items())
    if provenance.get("corpus"):
        facts = [f"{count(n)} {plain(name)}" for name, n in provenance["corpus"].items() if isinstance(n, int) and n]
        yield f"- corpus: {', '.join(facts)}"
    if provenance.get("split"):
        yield f"- split: {plain(provenance['split'])}"
    for key in ("data_hash", "split_hash", "seed"):
        if provenance.get(key) is not None:
            yield f"- {key.replace('_', ' ')}: `{plain(provenance[key])}`"


def _open_items() -> list[str]:
    return [
        "To be completed by whoever shares this model:",
        "",
        "- [ ] for which question and by whom it may be used, and for which not",
        "- [ ] where the data came from, who consented to what, and their licence",
        "- [ ] which people, organisms, instruments and sites the data stand for, and which are missing",
        "- [ ] the licence of the model (`license:` in the head of this file)",
    ]


def _model_parts(metrics: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for target, entry in metrics.get("targets", {}).items():
        for part in _PARTS:
            if entry.get("model", {}).get(part):
                yield target, part, entry["model"][part]


def _sources(provenance: Mapping[str, Any]) -> list[str]:
    """File names without the folders of whoever made the model."""
    return [PurePath(str(source)).name for source in provenance.get("sources", [])]
