"""Whose turn it is: seats in order of arrival, slices between each other, and who was stopped."""

import threading

import pytest

from page.turns import Stopped, Turns


def test_places_in_line_go_down_as_others_leave():
    turns = Turns(seats=1)
    first, second, third = turns.seat(), turns.seat(), turns.seat()
    with first:
        with second, third:
            assert [seat.wait(0.01) for seat in (first, second, third)] == [0, 1, 2]
        with third:
            assert third.wait(0.01) == 1


def test_who_waits_sits_as_soon_as_a_seat_is_free():
    turns = Turns(seats=1)
    with turns.seat() as waiting_for:
        second = turns.seat().__enter__()
        places = []
        waiter = threading.Thread(target=lambda: places.append(second.wait(60)))
        waiter.start()
    waiter.join(10)
    assert places == [0] and waiting_for is not second


def test_the_lock_goes_round_in_order_of_arrival():
    turns, order = Turns(), []

    def work(name, asked):
        with turns:
            for _ in range(3):
                order.append(name)
                asked.wait(10)
                turns.pass_on()

    free = threading.Event()
    workers = []
    for n, name in enumerate("abc"):
        workers.append(threading.Thread(target=work, args=(name, free)))
        workers[-1].start()
        while len(turns._asked) <= n:
            pass
    free.set()
    for worker in workers:
        worker.join(10)
    assert order == list("abcabcabc")


def test_a_short_recording_is_through_before_a_long_one_is():
    turns, order = Turns(), []
    long_begun = threading.Event()

    def analysis(name, pieces):
        seat = turns.seat()

        def steps():
            for _ in range(pieces):
                order.append(name)
                long_begun.set()
                seat.pause()
            yield name

        with seat:
            list(seat.in_turns(steps()))

    long = threading.Thread(target=analysis, args=("long", 20_000))
    long.start()
    long_begun.wait(10)
    short = threading.Thread(target=analysis, args=("short", 2))
    short.start()
    short.join(10)
    ended = len(order)
    long.join(60)
    assert order.count("short") == 2 and ended < len(order)


def test_a_stop_ends_waiting_and_work_and_frees_the_lock():
    turns = Turns(seats=1)
    with turns.seat() as seat, turns.seat() as waiting:
        waiting.set()
        with pytest.raises(Stopped):
            waiting.wait(60)
        steps = seat.in_turns(iter(range(9)))
        assert next(steps) == 0
        seat.set()
        with pytest.raises(Stopped):
            next(steps)
    with turns:
        assert True


def test_a_visitor_who_leaves_between_two_steps_holds_up_nobody():
    turns = Turns(seats=1)
    with turns.seat() as seat:
        next(seat.in_turns(iter(range(9))))
        with turns:
            assert True
