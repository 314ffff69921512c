"""One file by its URL and SHA-256: what was cut off goes on, and what differs is not kept."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import httpx

from ..errors import HearsayError, without_secrets
from ..files import sha256_of

LIMIT = 2 * 2**30  # bytes; the checkpoints of large speech backbones have about 1.3 GB


def download(url: str, sha256: str, folder: Path, limit: int = LIMIT) -> Path:
    """Fetch `url` into `folder` and return the file, whose SHA-256 is `sha256` (64 hex digits).

    A file that is there already is not fetched again, and a transfer that broke off goes on where
    it ended (RFC 9110, section 14). Only https is followed, through redirects too; plain http is
    for this machine's own addresses alone. Raises HearsayError when the transfer fails or exceeds
    `limit` bytes, and when the content is another one.
    """
    shown = without_secrets(url)
    name = re.sub(r"[^\w.-]", "", shown.rpartition("/")[2])[-80:]
    target = folder / f"{sha256[:16]}-{name}"
    if target.is_file() and sha256_of(target) == sha256:
        return target
    part = target.with_name(f"{target.name}.part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        check: Callable[..., None] = partial(_stay_safe, httpx.URL(url))
        with httpx.Client(follow_redirects=True, timeout=30) as client:
            client.event_hooks = {"request": [check]}  # called for each redirect as well
            _fetch(client, url, part, limit)
    except httpx.InvalidURL as error:
        raise HearsayError(f"{shown} is no URL: {error}.") from error
    except (httpx.HTTPError, OSError) as error:
        got = part.stat().st_size if part.is_file() else 0
        raise HearsayError(
            f"The download of {shown} ended after {got} bytes: {error}. The same command goes on "
            "from there."
        ) from error
    found = sha256_of(part)
    if found != sha256:
        part.unlink()  # or else the next try would go on with it
        raise HearsayError(
            f"What {shown} holds has the SHA-256 {found}, not {sha256}, so it was not kept."
        )
    os.replace(part, target)
    return target


def _fetch(client: httpx.Client, url: str, part: Path, limit: int) -> None:
    """Append to `part` what it lacks of `url`; a server that cannot go on sends all of it again."""
    size = part.stat().st_size if part.is_file() else 0
    # compressed, the bytes would not be the file's
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={size}-"} if size else {})
    with client.stream("GET", url, headers=headers) as answer:
        if size and answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink()  # as long as the file or longer, and still not taken: begin anew
            return _fetch(client, url, part, limit)
        if answer.status_code not in (httpx.codes.OK, httpx.codes.PARTIAL_CONTENT):
            reason = f"the server answers {answer.status_code}"
            raise HearsayError(f"{without_secrets(url)} cannot be had: {reason}.")
        goes_on = answer.headers.get("Content-Range", "").startswith(f"bytes {size}-")
        size = size if goes_on else 0
        with part.open("ab" if goes_on else "wb") as file:
            for block in answer.iter_raw():
                size += len(block)
                if size > limit:
                    part.unlink()
                    reason = f"it has more than {limit} bytes"
                    raise HearsayError(f"{without_secrets(url)} is not kept: {reason}.")
                file.write(block)


def _stay_safe(first: httpx.URL, request: httpx.Request) -> None:
    """HearsayError unless the request, which `first` led to, is https or never leaves here."""
    if request.url.scheme != "https" and not (_is_here(first) and _is_here(request.url)):
        shown = without_secrets(str(request.url))
        raise HearsayError(f"{shown} is not fetched: checkpoints come over https alone.")


def _is_here(url: httpx.URL) -> bool:
    try:
        local = ipaddress.ip_address(url.host).is_loopback
    except ValueError:
        local = url.host == "localhost"
    return local and url.scheme == "http"
