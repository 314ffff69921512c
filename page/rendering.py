"""The page's HTML: Jinja templates, which escape everything that is not markup already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from . import verdict


def render(template: str, **values: Any) -> str:
    """HTML of templates/TEMPLATE.html with these values."""
    return ENVIRONMENT.get_template(f"{template}.html").render(values)


def signed(value: float) -> str:
    """A value with its sign and two digits that say something: "+1.3", "-0.04", "0.00"."""
    text = f"{value:+.2f}" if abs(value) < 0.095 else f"{value:+.1f}"
    return text if float(text) else text[1:]


def side(value: float) -> str:
    """ "fake" or "real": what a value speaks for."""
    return "fake" if value > 0 else "real"


def towards(value: float) -> str:
    """A value with its direction in words."""
    return f"{signed(value)} towards {side(value)}"


def tone(verdict: str) -> str:
    """The colour of a verdict, as style.css names it."""
    return "unsure" if verdict in ("inconclusive", "mixed") else verdict


def bold(sentence: str, name: str) -> Markup:
    """A sentence with the first mention of a name in bold."""
    return Markup(escape(sentence).replace(escape(name), Markup("<b>{}</b>").format(name), 1))


ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
ENVIRONMENT.filters |= {
    "bold": bold,
    "percent": verdict.percent,
    "side": side,
    "signed": signed,
    "tone": tone,
}
ENVIRONMENT.globals["WORDS"] = verdict.WORDS
