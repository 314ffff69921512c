"""Who may ask the page, and how often: addresses, proxies and token buckets, by environment."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from detectors.errors import HearsayError

LOOPBACK = ("127.0.0.1", "localhost")
SPACE_PROXIES = "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16"  # of Hugging Face, by any name
PER_MINUTE = 120
CLIENTS = 10_000  # buckets kept at most


@dataclass(frozen=True)
class Access:
    """Under which names the page answers, and whom it believes.

    url: its public address without a slash at the end, "" where it has none.
    hosts: Host headers that it answers; ("*",) for any.
    proxies: addresses and networks whose `X-Forwarded-For` names the client, "" for none.
    per_minute: requests that one client may send in a minute.
    """

    url: str = ""
    hosts: tuple[str, ...] = LOOPBACK
    proxies: str = ""
    per_minute: int = PER_MINUTE


def access(environment: Mapping[str, str], host: str) -> Access:
    """What the environment says: HEARSAY_URL, HEARSAY_PROXIES and HEARSAY_RATE, or a Space's own.

    Args:
        environment: Usually `os.environ`.
        host: Address that the page listens at.

    Raises:
        HearsayError: for a setting that means nothing.
    """
    space = environment.get("SPACE_HOST", "")
    url = environment.get("HEARSAY_URL", f"https://{space}" if space else "").rstrip("/")
    name = _host_name(url)
    if url and not name:
        raise HearsayError(f"HEARSAY_URL is an address like https://voices.example, not '{url}'.")
    hosts: tuple[str, ...] = ("*",)
    if host in LOOPBACK or "HEARSAY_URL" in environment:
        hosts = (*LOOPBACK, name) if name else LOOPBACK
    proxies = environment.get("HEARSAY_PROXIES", SPACE_PROXIES if "SPACE_ID" in environment else "")
    for part in filter(None, proxies.split(",")):
        try:
            ipaddress.ip_network(part.strip())
        except ValueError:
            raise HearsayError(
                f"HEARSAY_PROXIES lists addresses and networks like 10.0.0.0/8, not '{part}'."
            ) from None
    rate = environment.get("HEARSAY_RATE", str(PER_MINUTE))
    if not rate.isdecimal() or int(rate) < 1:
        raise HearsayError(f"HEARSAY_RATE is a number of requests a minute, not '{rate}'.")
    return Access(url, hosts, proxies, int(rate))


def _host_name(url: str) -> str:
    try:
        parts = urlsplit(url)
        return parts.hostname or "" if parts.scheme in ("http", "https") and not parts.query else ""
    except ValueError:
        return ""


class Buckets:
    """A token bucket for each client: a minute's requests at once, then one as often as it fills.

    Args:
        per_minute: Tokens that a bucket holds, and that flow into it in a minute.
        clock: Seconds that only grow.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.size = per_minute
        self.clock = clock
        self.full_at: dict[str, float] = {}  # client -> when the bucket is full again

    def wait_s(self, address: str) -> float:
        """Take a token: 0, or the seconds until there is one for this address."""
        now, client = self.clock(), _network(address)
        if len(self.full_at) >= CLIENTS:
            self.full_at = {name: full for name, full in self.full_at.items() if full > now}
        if len(self.full_at) >= CLIENTS:  # this many at once share a bucket
            client = ""
        full_at = max(now, self.full_at.get(client, now)) + 60 / self.size
        if full_at - now > 60:
            return full_at - now - 60
        self.full_at[client] = full_at
        return 0.0


def _network(address: str) -> str:
    """The address, or of IPv6 the network, of which one subscriber has the whole."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed.version == 6 else address
