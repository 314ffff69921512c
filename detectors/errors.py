"""The errors that users see: each is one sentence that can be shown as it is."""

from __future__ import annotations

import re

from pydantic import ValidationError


class HearsayError(ValueError):
    """What cannot be done, and what to do about it, in one sentence for the user."""


def reason(error: BaseException) -> str:
    """What an error says, in one line; its type as well where that is a word or nothing."""
    message = str(error).strip().partition("\n")[0].rstrip(".")
    return message if " " in message else f"{type(error).__name__} {message}".strip()


def invalid(error: ValidationError) -> str:
    """The first value that is wrong, by its key, and why."""
    first = error.errors()[0]
    key = "".join(f"{part}: " for part in first["loc"])
    return f"{key}{first['msg']}"


def without_secrets(text: str) -> str:
    """Text with its URLs bare: no users and passwords, and no queries, which may be secret too."""
    anonymous = re.sub(r"//[^/\s]*@", "//", text)
    return re.sub(r"(://[^\s?#]*)[?#]\S*", r"\1", anonymous)
