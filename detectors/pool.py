"""The detectors that a long-running program serves: the registry's champions, kept up to date."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from pathlib import Path

from .detector import Detector
from .errors import HearsayError, reason
from .mlflow_store import sqlite_file
from .registry import Version, champions, checksums, open_version

Entry = tuple[Version, Detector]


class DetectorPool:
    """Champions, opened; a new one is loaded beside the old one and then takes its place.

    It starts with the bundled detectors (version 0, alias "bundled"), so that there is something
    to serve before MLflow is even imported. From the first `refresh` on it holds the registry's
    champions. It never loses one: a name without a champion any more, a version that fails to load
    and a registry out of reach leave the old detector in service, and `notices` says so.
    """

    def __init__(self, bundled: Iterable[Path] = (), retry_s: float = 60.0) -> None:
        """Open the bundled detectors.

        Args:
            bundled: Detector folders.
            retry_s: Seconds before a version that could not be loaded is tried again.
        """
        self.retry_s = retry_s
        self._served: dict[str, Entry] = {}
        for folder in bundled:
            version = Version(folder.name, 0, ("bundled",), checksums(folder))
            self._served[folder.name] = (version, Detector.open(folder))
        self._notices: tuple[str, ...] = ()
        self._failed: dict[str, tuple[float, str]] = {}  # uri -> when and why
        self._snapshot = threading.Lock()  # held to copy or to exchange, never while loading
        self._refreshing = threading.Lock()
        self._stopped = threading.Event()
        self._watcher: threading.Thread | None = None

    def detectors(self) -> list[Entry]:
        """What is in service now, by name; a later exchange leaves this list alone."""
        with self._snapshot:
            return [self._served[name] for name in sorted(self._served)]

    @property
    def notices(self) -> tuple[str, ...]:
        """Sentences about detectors that are not the ones that the registry asks for."""
        with self._snapshot:
            return self._notices

    def refresh(self) -> None:
        """Ask the registry for its champions and bring what is served in line with them."""
        with self._refreshing:
            served = {version.name: (version, detector) for version, detector in self.detectors()}
            notices = []
            try:
                wanted = champions()
            except Exception as error:  # whatever it is, the watcher must see the next promotion
                notices.append(
                    f"{reason(error)}. The detectors that were loaded before stay in use."
                )
            else:
                left = sorted(served.keys() - {version.name for version in wanted})
                entries = [self._entry(v, served.get(v.name), notices) for v in wanted]
                served |= {entry[0].name: entry for entry in entries if entry is not None}
                if left:
                    notices.append(
                        f"The registry has no champion of {', '.join(left)}: what was loaded "
                        "before stays in use."
                    )
            with self._snapshot:
                self._served, self._notices = served, tuple(notices)

    def watch(self, seconds: float = 5.0) -> None:
        """Refresh now and then every `seconds` in a background thread, until `stop`."""
        self._stopped.clear()
        self._watcher = threading.Thread(
            target=self._watch, args=(seconds,), name="detector-pool", daemon=True
        )
        self._watcher.start()

    def stop(self) -> None:
        """End the background thread, after the refresh that it may be in."""
        self._stopped.set()
        if self._watcher is not None:
            self._watcher.join()

    def _watch(self, seconds: float) -> None:
        self.refresh()
        while not self._stopped.wait(seconds):
            self.refresh()

    def _entry(self, wanted: Version, old: Entry | None, notices: list[str]) -> Entry | None:
        """The wanted version, opened; failing that the old entry, and a notice."""
        if old is not None and old[0].checksums == wanted.checksums:
            old[1].version = str(wanted.version)
            return wanted, old[1]  # the same files under a new number or alias
        if old is not None and not old[0].version and wanted.seeded:
            return old  # the bundle of another release, which nobody has chosen
        failed_at, why = self._failed.get(wanted.uri, (-self.retry_s, ""))
        if time.monotonic() - failed_at >= self.retry_s:
            try:
                return wanted, open_version(wanted)
            except Exception as error:  # of files, of a full disk: the others are still served
                why = reason(error)
                self._failed[wanted.uri] = (time.monotonic(), why)
        stay = f", so {_described(old[0])} stays in use" if old is not None else ""
        notices.append(f"{wanted.name}: {_described(wanted)} could not be loaded{stay}. {why}.")
        return old


def served(bundled: Iterable[Path]) -> DetectorPool:
    """The pool that a page with these bundled detectors serves now, without registering them."""
    pool = DetectorPool(bundled)
    try:
        database = sqlite_file()
    except HearsayError:
        database = None  # what is wrong with the store becomes a notice
    if database is None or database.exists():
        pool.refresh()
    return pool


def _described(version: Version) -> str:
    return f"version {version.version}" if version.version else "the bundled version"
