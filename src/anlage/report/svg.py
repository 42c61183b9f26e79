"""A small canvas: axes, lines and marks as inline SVG that takes its colours from the page (light, dark, print).

Every figure is drawn 360 units wide, the width of a phone, so that its words can be read there without zooming.
"""

import math
from html import escape

WIDTH = 360


def nice_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers (steps of 1, 2 or 5 times a power of ten) that lie between ``low`` and ``high``."""
    raw = (high - low) / max(about, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [index * step for index in range(first, math.floor(high / step + 1e-9) + 1)]


def shorten(text: str, length: int) -> str:
    """At most ``length`` characters, with an ellipsis where some are missing."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def document(body: list[str], height: float, title: str) -> str:
    """The SVG element; ``title`` says in words what it shows."""
    name = escape(title)
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{name}"><title>{name}</title>'
        + "".join(body)
        + "</svg>"
    )


def words(x: float, y: float, text: str, css: str = "", anchor: str = "start", turn: float = 0) -> str:
    """Text at a point of the drawing, turned by ``turn`` degrees."""
    turned = f' transform="rotate({turn:g} {x:.1f} {y:.1f})"' if turn else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{css}" text-anchor="{anchor}"{turned}>{escape(text)}</text>'


class Plot:
    """Axes over ``x`` and ``y`` (low, high), in the units of the data."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float], height: float = 270, left: float = 52):
        self.x_range, self.y_range = _open(x), _open(y)
        self.height, self.left, self.right, self.top, self.bottom = height, left, WIDTH - 10.0, 10.0, height - 40
        self.body: list[str] = []

    def x(self, value: float) -> float:
        """From the data's units to the drawing's."""
        low, high = self.x_range
        return self.left + (value - low) / (high - low) * (self.right - self.left)

    def y(self, value: float) -> float:
        """From the data's units to the drawing's."""
        low, high = self.y_range
        return self.bottom - (value - low) / (high - low) * (self.bottom - self.top)

    def axes(self, x_label: str, y_label: str, y_ticks: bool = True) -> None:
        """Grid lines, tick labels and axis names."""
        for value in nice_ticks(*self.y_range) if y_ticks else []:
            self.segment(self.x_range[0], value, self.x_range[1], value, "grid")
            self.body.append(words(self.left - 6, self.y(value) + 3.5, _tick(value), "tick", "end"))
        for value in nice_ticks(*self.x_range):
            self.body.append(words(self.x(value), self.bottom + 15, _tick(value), "tick", "middle"))
        self.segment(self.x_range[0], self.y_range[0], self.x_range[1], self.y_range[0], "axis")
        middle = (self.left + self.right) / 2
        self.body.append(words(middle, self.height - 6, x_label, "name", "middle"))
        self.body.append(words(11, (self.top + self.bottom) / 2, y_label, "name", "middle", turn=-90))

    def segment(self, x1: float, y1: float, x2: float, y2: float, css: str) -> None:
        """A straight line between two points."""
        ends = f'x1="{self.x(x1):.1f}" y1="{self.y(y1):.1f}" x2="{self.x(x2):.1f}" y2="{self.y(y2):.1f}"'
        self.body.append(f'<line {ends} class="{css}"/>')

    def line(self, points: list[tuple[float, float]], css: str) -> None:
        """A line through points; what is not finite is left out."""
        drawn = [f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in points if math.isfinite(x) and math.isfinite(y)]
        if drawn:
            self.body.append(f'<polyline points="{" ".join(drawn)}" class="line {css}"/>')

    def dot(self, x: float, y: float, radius: float, css: str, opacity: float = 1.0) -> None:
        """A filled circle."""
        self.body.append(
            f'<circle cx="{self.x(x):.1f}" cy="{self.y(y):.1f}" r="{radius:.1f}" class="{css}"'
            f' opacity="{opacity:.2f}"/>'
        )

    def svg(self, title: str) -> str:
        """The whole figure."""
        return document(self.body, self.height, title)


def _open(bounds: tuple[float, float]) -> tuple[float, float]:
    low, high = bounds
    return (low, high) if high > low else (low - 0.5 * (abs(low) or 1), high + 0.5 * (abs(high) or 1))


def _tick(value: float) -> str:
    return f"{0.0 if abs(value) < 1e-12 else value:.4g}".replace("-", "−")
