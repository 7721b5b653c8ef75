"""HTML pages from jinja2 templates, without scripts and with all values escaped."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined


def render(template: str, **values: object) -> str:
    """A page from a template of the package, named from there (``batch/report.html``).

    Templates extend ``util/page.html``, which has the head of a page and the styles that all share.
    """
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("vinpaint_cli", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
