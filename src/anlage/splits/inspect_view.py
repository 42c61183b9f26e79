"""How an inspection looks in a terminal."""

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from anlage.splits.inspect import ColumnView, Inspection


def render(found: "Inspection", most: int = 20) -> Group:
    """Tables and lines, at most ``most`` rows of each."""
    parts: list[RenderableType] = [
        Text(f"{', '.join(found.sources)}: {found.rows:,} rows, {len(found.columns):,} columns", style="bold"),
        _columns(found.columns, most),
    ]
    for target, labels in found.labels.items():
        parts.append(Text(f"target {target}"))
        table = Table("label", "rows", box=None)
        table.columns[1].justify = "right"
        for label, rows in list(labels.items())[:most]:
            table.add_row(Text(label), f"{rows:,}")
        if len(labels) > most:
            table.add_row(f"… {len(labels) - most} more labels", "")
        parts.append(table)
    if found.left_out:
        table = Table("column", "not learned from, since it", box=None)
        for column, reason in found.left_out[:most]:
            table.add_row(Text(column), Text(reason))
        if len(found.left_out) > most:
            table.add_row(f"… {len(found.left_out) - most} more", "")
        parts.append(table)
    if found.duplicates:
        parts.append(_duplicates(found))
    parts += [Text(f"note: {note}") for note in found.notes[:most]]
    if found.problems:
        fatal = sum(p.fatal for p in found.problems)
        parts.append(Text(f"{len(found.problems):,} problems, {fatal:,} of which cost a row:", style="yellow"))
        parts += [Text(f"  {problem}") for problem in found.problems[:most]]
        if len(found.problems) > most:
            parts.append(Text(f"  … {len(found.problems) - most:,} more"))
    return Group(*parts)


def _columns(views: "list[ColumnView]", most: int) -> Table:
    table = Table("column", "modality", "evidence", "missing", "distinct", "min / median / max", "bad rows", box=None)
    for view in views[:most]:
        three = view.lengths or view.numbers
        table.add_row(
            Text(view.name),
            view.modality or "–",
            Text(view.evidence),
            f"{view.missing:,}",
            "" if view.distinct is None else f"{view.distinct:,}",
            " / ".join(f"{v:,.6g}" for v in three) + (" long" if view.lengths else "") if three else "",
            f"{view.bad:,}" if view.bad else "",
        )
    if len(views) > most:
        table.add_row(f"… {len(views) - most:,} more columns")
    return table


def _duplicates(found: "Inspection") -> Text:
    same = found.duplicates
    assert same is not None
    text = Text(f"duplicates: {same.rows:,} rows in {same.groups:,} groups agree in {', '.join(same.inputs)}")
    for target, groups in same.conflicts.items():
        if groups:
            example = " and ".join(same.examples[target][0])
            text.append(f"\nconflicting labels: {groups:,} groups differ in {target}, such as {example}", "red")
        else:
            text.append(f"\nno conflicting labels in {target}")
    return text
