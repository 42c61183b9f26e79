"""How an audit looks in a terminal."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from anlage.auditing.findings import Audit

_STYLES = {"leak": "bold red", "warning": "yellow", "note": ""}


def render(found: Audit) -> Group:
    """The findings, the worst first, each with what it may do; then what was looked for, and what was not."""
    counts = {severity: sum(f.severity == severity for f in found.findings) for severity in _STYLES}
    said = ", ".join(f"{count} {severity}{'s' * (count != 1)}" for severity, count in counts.items())
    worst = found.worst
    style = _STYLES["leak"] if worst else "green"
    first = f"{'LEAK: ' + worst.text if worst else 'no leak found'} ({said})"
    parts: list[RenderableType] = [Text(first, style=style)]
    if found.findings:
        table = Table(box=None, pad_edge=False)
        table.add_column("", no_wrap=True)
        table.add_column("what was found")
        table.add_column("what it may do")
        for finding in found.findings:
            text = Text(finding.text)
            for target, one in (finding.without or {}).items():
                text.append(f"\n{target}, {one['metric']}: {_value(one['all'])}; without them {_value(one['without'])}")
            table.add_row(Text(finding.severity, style=_STYLES[finding.severity]), text, Text(finding.effect))
        parts.append(table)
    parts.append(Text("looked for:", style="bold"))
    parts += [Text(f"  {line}") for line in found.checked]
    if found.skipped:
        parts.append(Text("not looked for:", style="bold"))
        parts += [Text(f"  {one['what']}: {one['why']}") for one in found.skipped]
    return Group(*parts)


def _value(estimate: dict[str, float | None]) -> str:
    value, low, high = (estimate[k] for k in ("value", "low", "high"))
    if value is None:
        return "undefined"
    return f"{value:.3f}" + ("" if low is None or high is None else f" [{low:.3f}, {high:.3f}]")
