"""The threads that run requests."""

from __future__ import annotations

import threading
from functools import partial

import pytest
from loguru import logger

from opencode_sync.deadline import NOW, Deadline
from opencode_sync.gateway import workers
from opencode_sync.gateway.workers import WorkerPool
from tests.unit.gateway.doubles import PATIENCE, Held

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.fixture
def pool() -> WorkerPool:
    return WorkerPool("pool")


def names() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("pool-")]


def test_jobs_run_at_the_same_time(pool: WorkerPool) -> None:
    together = threading.Barrier(8)
    done = threading.Semaphore(0)

    def job() -> None:
        together.wait(PATIENCE)
        done.release()

    for _ in range(8):
        assert pool.submit(job)
    for _ in range(8):
        assert done.acquire(timeout=PATIENCE)
    assert pool.close(Deadline.after(PATIENCE))


def test_idle_thread_is_used_again(pool: WorkerPool) -> None:
    used: list[int] = []
    for number in range(20):
        done = threading.Event()
        pool.submit(lambda done=done: (used.append(threading.get_ident()), done.set()))
        assert done.wait(PATIENCE)
        while pool._idle == 0:  # until the worker is back; it has nothing else to do
            assert number < 20
    assert len(set(used)) == 1
    assert pool.close(Deadline.after(PATIENCE))


def test_idle_threads_end(pool: WorkerPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_IDLE_SECONDS", 0.01)
    pool.submit(lambda: None)
    for thread in [thread for thread in threading.enumerate() if thread.name in names()]:
        thread.join(PATIENCE)
    assert names() == []
    assert pool.submit(lambda: None)
    assert pool.close(Deadline.after(PATIENCE))


def test_failing_job_is_logged_and_harms_nobody(pool: WorkerPool) -> None:
    lines: list[str] = []
    logger.enable("opencode_sync")
    sink = logger.add(lines.append, level="ERROR", catch=False)
    try:
        pool.submit(lambda: 1 / 0)
        done = threading.Event()
        pool.submit(done.set)
        assert done.wait(PATIENCE)
        assert pool.close(Deadline.after(PATIENCE))
    finally:
        logger.remove(sink)
        logger.disable("opencode_sync")
    assert "ZeroDivisionError" in "".join(lines)


def test_closed_pool_takes_nothing(pool: WorkerPool) -> None:
    assert pool.close(NOW)
    assert not pool.submit(lambda: None)


def test_close_runs_what_waits_and_gives_up_in_time(pool: WorkerPool) -> None:
    held = Held()
    pool.submit(held)
    held.wait_entered()
    assert not pool.close(Deadline.after(0.01))
    held.released.set()
    assert pool.close(Deadline.after(PATIENCE))


def test_no_thread_to_be_had(pool: WorkerPool, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    ran = threading.Event()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", failing)
        assert not pool.submit(ran.set)
    done = threading.Event()
    assert pool.submit(done.set)
    assert done.wait(PATIENCE)
    assert not ran.is_set()
    assert pool.close(Deadline.after(PATIENCE))


def test_beyond_the_limit_jobs_wait_in_line_in_their_order() -> None:
    pool = WorkerPool("pool", limit=2)
    held, done = [Held(), Held()], threading.Semaphore(0)
    ran: list[int] = []

    def job(number: int) -> None:
        ran.append(number)
        done.release()

    for each in held:
        assert pool.submit(each)
        each.wait_entered()
    for number in range(3):
        assert pool.submit(partial(job, number))
    assert len(names()) == 2
    assert ran == []
    held[0].released.set()
    for _ in range(3):
        assert done.acquire(timeout=PATIENCE)
    assert ran == [0, 1, 2]
    held[1].released.set()
    assert pool.close(Deadline.after(PATIENCE))


def test_what_waits_in_line_may_be_withdrawn() -> None:
    pool = WorkerPool("pool", limit=1)
    held, ran = Held(), threading.Event()
    pool.submit(held)
    held.wait_entered()
    pool.submit(ran.set)
    pool.withdraw(ran.set)
    pool.withdraw(ran.set)
    held.released.set()
    assert pool.close(Deadline.after(PATIENCE))
    assert not ran.is_set()


def test_a_job_that_comes_when_an_idle_thread_goes_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where that thread was all that there may be."""
    monkeypatch.setattr(workers, "_IDLE_SECONDS", 0.0)
    pool = WorkerPool("pool", limit=1)
    for _ in range(200):
        done = threading.Event()
        assert pool.submit(done.set)
        assert done.wait(PATIENCE)
    assert pool.close(Deadline.after(PATIENCE))
