"""The templates of the pages: what stands in them is escaped, and a name that nothing fills is an error."""

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from anlage.bundle.numbers import count, number


def environment() -> Environment:
    """With the filters that all pages use."""
    made = Environment(
        loader=PackageLoader("anlage.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(number=number, count=count, svg=Markup)
    return made
