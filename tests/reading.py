"""The page's HTML as a person reads it."""

import re
from html.parser import HTMLParser


def text(html: str) -> str:
    """What a person reads, in one line."""
    pieces: list[str] = []
    parser = HTMLParser()
    parser.handle_data = pieces.append
    parser.feed(html)
    return re.sub(r"\s+", " ", " ".join(pieces))
