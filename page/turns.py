"""Who may run detectors: one slice at a time, in the order in which it was asked for.

    with turns.seat() as seat:
        while place := seat.wait(0.5):
            ...  # is so many places from a seat
        for report in seat.in_turns(analyse(path, entries, pause=seat.pause)):
            ...

A few recordings have a seat, which bounds the memory that they take; they run in slices between
each other, so that a long one does not hold up a short one. All others stand in line for a seat.
Nobody keeps a turn while the page shows what came of it: a visitor who leaves then holds up nobody.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TypeVar

T = TypeVar("T")
SEATS = 3


class Stopped(Exception):
    """Raised inside work that somebody stopped."""


class Turns:
    """The line for seats, and a lock for whatever runs detectors, given in order of arrival."""

    def __init__(self, seats: int = SEATS) -> None:
        self.seats = seats
        self._changed = threading.Condition()
        self._line: list[Seat] = []  # the first `seats` of them sit
        self._asked: list[object] = []  # for the lock, whose holder comes first

    def __enter__(self) -> Turns:
        """Wait for the lock."""
        ticket = object()
        with self._changed:
            self._asked.append(ticket)
            self._changed.wait_for(lambda: self._asked[0] is ticket)
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            del self._asked[0]
            self._changed.notify_all()

    def pass_on(self) -> None:
        """Let all who wait for the lock have it first; called by who holds it."""
        if len(self._asked) > 1:
            self.__exit__()
            self.__enter__()

    def seat(self) -> Seat:
        """A seat, or a place in the line for one, from `with` on."""
        return Seat(self)


class Seat:
    """One recording's seat or place in line; `set` ends what it runs, from any thread."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._stopped = threading.Event()

    def __enter__(self) -> Seat:
        with self._turns._changed:
            self._turns._line.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        with self._turns._changed:
            self._turns._line.remove(self)
            self._turns._changed.notify_all()

    def set(self) -> None:
        """End at the next slice: what runs or waits raises Stopped."""
        self._stopped.set()
        with self._turns._changed:
            self._turns._changed.notify_all()

    @property
    def stopped(self) -> bool:
        return self._stopped.is_set()

    def wait(self, seconds: float) -> int:
        """How many places it is from a seat, after that many seconds or once it sits, which is 0.

        Raises:
            Stopped: somebody has stopped it.
        """
        with self._turns._changed:
            self._turns._changed.wait_for(lambda: self.stopped or not self._place(), seconds)
            place = self._place()
        self.go_on()
        return place

    def in_turns(self, steps: Iterator[T]) -> Iterator[T]:
        """Items of an iterator, each made while nobody else runs detectors; raises Stopped."""
        while True:
            with self._turns:
                self.go_on()
                try:
                    step = next(steps)
                except StopIteration:
                    return
            yield step

    def pause(self) -> None:
        """Within a step: let the others have their slices; raises Stopped once it is stopped."""
        self._turns.pass_on()
        self.go_on()

    def _place(self) -> int:
        return max(0, self._turns._line.index(self) + 1 - self._turns.seats)

    def go_on(self) -> None:
        """Raises Stopped once it is stopped."""
        if self.stopped:
            raise Stopped
