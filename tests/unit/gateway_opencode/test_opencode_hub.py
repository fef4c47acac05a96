"""One subscription for all: coming and going, losses, what is read again, bad subscribers."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from loguru import logger

from opencode_sync.deadline import NOW, Deadline
from opencode_sync.errors import error_code_name
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.backends.opencode.events import feed as opencode_feed
from opencode_sync.gateway.backends.opencode.events import feed_check as opencode_feed_check
from opencode_sync.gateway.backends.opencode.events import hub as opencode_hub
from opencode_sync.gateway.backends.opencode.events import replay as opencode_hub_replay
from opencode_sync.gateway.backends.opencode.events import secrets as opencode_event_secrets
from opencode_sync.gateway.backends.opencode.events.feed import THREAD_NAME
from opencode_sync.gateway.backends.opencode.events.hub import EventHub, FeedTiming
from opencode_sync.gateway.backends.opencode.events.memory import EventMemory
from opencode_sync.gateway.backends.opencode.events.replay import read_again
from opencode_sync.gateway.backends.opencode.http.client import OpenCodeHttp
from opencode_sync.gateway.backends.opencode.server.servers import Binding, Servers
from tests.unit.gateway_opencode.fake_events import (
    CHUNKED,
    DIRECTORY,
    HEAD,
    HEARTBEAT,
    PATIENCE,
    FakeEvents,
    Listener,
    chunk,
    frame,
    raw_frame,
)
from tests.unit.gateway_opencode.http_server import Answer, HttpServer, Raw

QUICK = FeedTiming(
    connect=1.0, silence=20.0, shortest_pause=0.01, longest_pause=0.05, settled=0.0, linger=0.0
)
KEY = "sk-0123456789abcdef"


def soon():
    return Deadline.after(PATIENCE)


@pytest.fixture
def fake(serve):
    """The events, with their server as ``fake.server``."""
    events = FakeEvents()
    events.server = serve(events)
    yield events
    events.stop()


@pytest.fixture
def hubs():
    """Make hubs: ``hubs(url, **timing)``."""
    made = []

    def make(url, **timing):
        http = OpenCodeHttp(url)
        made.append((EventHub(http, timing=FeedTiming(**{**vars(QUICK), **timing})), http))
        return made[-1][0]

    yield make
    for hub, http in made:
        hub.close()
        http.close()


@pytest.fixture
def hub(fake, hubs):
    return hubs(fake.server.url)


@pytest.fixture
def logged():
    """What is logged."""
    lines = []
    logger.enable("opencode_sync")
    sink = logger.add(lambda message: lines.append(str(message)), level="DEBUG")
    yield lines
    logger.remove(sink)
    logger.disable("opencode_sync")


def listen(hub, **options):
    listener = Listener()
    return listener, hub.subscribe(listener, deadline=soon(), **options)


def failure(function, *args, **options):
    with pytest.raises(BackendError) as caught:
        function(*args, **options)
    return error_code_name(caught.value.code), caught.value.message


def feed_threads():
    return [each for each in threading.enumerate() if each.name == THREAD_NAME]


# Coming and going...


def test_all_subscribers_share_one_subscription(fake, hub):
    listeners = [listen(hub)[0] for _ in range(20)]
    fake.event("session.idle", {"sessionID": "ses_1"})
    for listener in listeners:
        listener.wait_for("session.idle")
        assert listener.threads == {THREAD_NAME}
    assert fake.subscriptions == 1
    assert len({id(listener.got[0]) for listener in listeners}) == 1
    assert repr(hub) == f"<EventHub of {fake.server.url}: 20 subscribers>"


def test_the_subscription_begins_with_the_first_and_ends_with_the_last(fake, hub):
    assert (fake.subscriptions, feed_threads()) == (0, [])
    first, second = listen(hub)[1], listen(hub)[1]
    first.close()
    assert len(feed_threads()) == 1
    second.close()
    second.close()
    assert feed_threads() == []
    listener, third = listen(hub)
    fake.event("session.idle", {"sessionID": "ses_1"})
    listener.wait_for("session.idle")
    third.close()
    assert (fake.subscriptions, feed_threads()) == (2, [])


def test_no_call_follows_a_close(fake, hub):
    others, _ = listen(hub)
    listener, subscription = listen(hub)
    fake.event("session.idle", {"sessionID": "ses_1"})
    listener.wait_for("session.idle")
    subscription.close()
    fake.event("session.idle", {"sessionID": "ses_2"})
    others.wait_for("session.idle", 2)
    assert listener.types() == ["session.idle"]


def test_close_waits_for_the_call_that_is_going_on(fake, hub):
    entered, go_on = threading.Event(), threading.Event()

    class Busy(Listener):
        def event(self, event):
            entered.set()
            assert go_on.wait(PATIENCE)
            super().event(event)

    listener = Busy()
    subscription = hub.subscribe(listener, deadline=soon())
    fake.event("session.idle", {"sessionID": "ses_1"})
    assert entered.wait(PATIENCE)
    with ThreadPoolExecutor(1) as pool:
        closing = pool.submit(subscription.close)
        with pytest.raises(TimeoutError):
            closing.result(0.2)
        go_on.set()
        closing.result(PATIENCE)
    assert listener.types() == ["session.idle"]


def test_close_does_not_wait_for_ever(fake, hub, monkeypatch, logged):
    monkeypatch.setattr(opencode_hub, "_DELIVERY_TIMEOUT", 0.1)
    monkeypatch.setattr(opencode_hub, "_END_TIMEOUT", 0.1)
    entered, go_on = threading.Event(), threading.Event()

    class Blocking(Listener):
        def event(self, event):
            entered.set()
            assert go_on.wait(PATIENCE)

    subscription = hub.subscribe(Blocking(), deadline=soon())
    fake.event("session.idle", {"sessionID": "ses_1"})
    assert entered.wait(PATIENCE)
    code, message = failure(hub.subscribe, Listener(), deadline=Deadline.after(0.1))
    assert (code, "busy" in message) == ("SERVER_ERROR", True)
    subscription.close()
    assert "has blocked for" in "".join(logged)
    threads = feed_threads()
    go_on.set()
    for thread in threads:
        thread.join(PATIENCE)


def test_a_subscriber_that_blocks_does_not_keep_the_others_from_their_end(
    fake, hub, monkeypatch, logged
):
    monkeypatch.setattr(opencode_hub, "_DELIVERY_TIMEOUT", 0.1)
    monkeypatch.setattr(opencode_hub, "_END_TIMEOUT", 0.1)
    entered, go_on = threading.Event(), threading.Event()

    class Blocking(Listener):
        def event(self, event):
            entered.set()
            assert go_on.wait(PATIENCE)

    hub.subscribe(Blocking(), deadline=soon())
    other, _ = listen(hub)
    fake.event("session.idle", {"sessionID": "ses_1"})
    assert entered.wait(PATIENCE)
    threads = feed_threads()
    hub.disconnect("the server was stopped")
    assert other.types() == ["ended: the server was stopped"]
    assert "has blocked for" in "".join(logged)
    go_on.set()
    for thread in threads:
        thread.join(PATIENCE)


def test_a_subscriber_may_close_its_subscription_itself(fake, hub):
    closed = threading.Event()

    class Once(Listener):
        def event(self, event):
            super().event(event)
            self.subscription.close()
            closed.set()

    others, _ = listen(hub)
    once = Once()
    once.subscription = hub.subscribe(once, deadline=soon())
    for number in range(3):
        fake.event("session.idle", {"sessionID": f"ses_{number}"})
    others.wait_for("session.idle", 3)
    assert closed.is_set()
    assert len(once.got) == 1


def test_a_subscriber_that_another_one_closes_is_not_called_any_more(fake, hub):
    class Closing(Listener):
        def event(self, event):
            self.other.close()
            super().event(event)

    closing = Closing()
    hub.subscribe(closing, deadline=soon())
    listener, closing.other = listen(hub)
    fake.event("session.idle", {"sessionID": "ses_1"})
    fake.event("session.error", {})
    closing.wait_for("session.error")
    assert listener.types() == []


def test_the_last_subscriber_may_close_its_subscription_itself(fake, hub):
    closed = threading.Event()

    class Once(Listener):
        def event(self, event):
            self.subscription.close()
            closed.set()

    once = Once()
    once.subscription = hub.subscribe(once, deadline=soon())
    threads = feed_threads()
    fake.event("session.idle", {"sessionID": "ses_1"})
    assert closed.wait(PATIENCE)
    for thread in threads:
        thread.join(PATIENCE)
    assert feed_threads() == []


def test_a_subscriber_may_subscribe_another(fake, hub):
    second = Listener()

    class Bringing(Listener):
        def event(self, event):
            super().event(event)
            if len(self.got) == 1:
                hub.subscribe(second, deadline=soon())

    hub.subscribe(Bringing(), deadline=soon())
    fake.event("session.idle", {"sessionID": "ses_1"})
    fake.event("session.error", {"sessionID": "ses_1"})
    second.wait_for("session.error")
    assert second.types() == ["session.error"]


def test_opened_comes_before_the_first_event(fake, hub):
    listen(hub)
    fake.send(frame("session.idle", {"sessionID": "ses_1"}) * 200)
    listener = Listener()
    hub.subscribe(listener, deadline=soon(), opened=lambda: listener.got.append("opened"))
    fake.event("session.error", {})
    listener.wait_for("session.error")
    assert listener.types()[0] == "opened"
    assert listener.types().count("opened") == 1


def test_nobody_is_subscribed_if_opened_fails(fake, hub):
    def fail():
        raise LookupError

    with pytest.raises(LookupError):
        hub.subscribe(Listener(), deadline=soon(), opened=fail)
    assert "0 subscribers" in repr(hub)
    assert feed_threads() == []


def test_many_threads_come_and_go_while_events_pass(fake, hub):
    listen(hub)
    stop = threading.Event()

    def sender():
        number = 0
        while not stop.wait(0.001):
            number += 1
            fake.event("session.idle", {"sessionID": f"ses_{number}"})

    def come_and_go(_):
        for _ in range(25):
            listener, subscription = listen(hub)
            listener.wait_for("session.idle")
            subscription.close()
            numbers = [int(each.session_id[4:]) for each in listener.events()]
            count = len(listener.got)
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
            assert len(listener.got) == count

    sending = threading.Thread(target=sender)
    sending.start()
    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(come_and_go, range(8)))
    finally:
        stop.set()
        sending.join()
    assert fake.subscriptions == 1


def test_threads_that_come_and_go_at_once_leave_no_thread(fake, hub):
    def come_and_go(_):
        for _ in range(10):
            listen(hub)[1].close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(come_and_go, range(8)))
    assert feed_threads() == []
    assert "0 subscribers" in repr(hub)


# Whether it has begun...


def test_a_subscription_is_confirmed_by_something_that_shows_up(fake, hub):
    fake.lost = 3
    listener, _ = listen(hub)
    fake.event("session.idle", {"sessionID": "ses_1"})
    listener.wait_for("session.idle")
    published = [each for each in fake.server.requests if each.path == "/tui/publish"]
    assert len(published) == 4
    assert len({each.body for each in published}) == 1
    command = json.loads(published[0].body)["properties"]["command"]
    # Another gateway's is of no interest either; a person's is.
    fake.event("tui.command.execute", {"command": command[:-1]})
    fake.event("tui.command.execute", {"command": "session.new"})
    listener.wait_for("tui.command.execute")
    assert listener.types() == ["session.idle", "tui.command.execute"]


def test_events_that_come_before_the_confirmation_are_handed_on_after_a_loss(fake, hub):
    listener, _ = listen(hub)
    fake.greeting += chunk(frame("session.idle", {"sessionID": "ses_1"}))
    fake.cut()
    listener.wait_for("session.idle")
    assert listener.types() == ["resubscribed", "session.idle"]


@pytest.mark.parametrize(
    ("answer", "lost"),
    [
        (Answer({"name": "NotFoundError"}, status=404), 0),
        (Answer(content=b"<html>", content_type="text/html"), 0),
        (Answer([]), 0),
        (Raw(lambda send: None), 0),
        (Answer(True), 1000),
    ],
    ids=["404", "web page", "list", "broken", "never"],
)
def test_a_server_that_shows_nothing_is_taken_as_it_is(fake, hub, monkeypatch, answer, lost):
    monkeypatch.setattr(opencode_feed_check, "_PAUSES", (0.01, 0.02))
    fake.publishes, fake.lost = answer, lost
    listener, _ = listen(hub)
    fake.event("session.idle", {"sessionID": "ses_1"})
    listener.wait_for("session.idle")
    assert listener.types() == ["session.idle"]


def test_publishing_that_takes_too_long_is_given_up(fake, hubs):
    hub = hubs(fake.server.url, connect=0.2)
    fake.publishes = Raw(lambda send: fake.server.closing.wait(PATIENCE))
    listener, _ = listen(hub)
    fake.event("session.idle", {"sessionID": "ses_1"})
    listener.wait_for("session.idle")


def test_a_stream_that_ends_before_it_is_confirmed_is_an_error(fake, hub):
    fake.publishes = Raw(lambda send: fake.cut())
    assert failure(hub.subscribe, Listener(), deadline=soon())[0] == "NO_SERVER"


# A while without subscribers...


def test_a_stream_is_kept_for_a_while_and_ends_with_a_heartbeat(fake, hubs):
    hub = hubs(fake.server.url, linger=0.2)
    first, subscription = listen(hub)
    subscription.close()
    second, subscription = listen(hub)
    fake.send(HEARTBEAT)
    fake.event("session.idle", {"sessionID": "ses_1"})
    second.wait_for("session.idle")
    assert (fake.subscriptions, first.types()) == (1, [])
    subscription.close()
    threads = feed_threads()
    fake.send(HEARTBEAT)  # too early
    fake.event("question.asked", {"id": "que_1", "sessionID": "ses_1"})
    until = soon()
    while hub.directory_of_question("que_1") is None:  # known, though nobody listens
        assert not until.passed()
    while threads[0].is_alive():
        assert not until.passed()
        fake.send(HEARTBEAT)
        threads[0].join(0.1)
    assert fake.subscriptions == 1


def test_a_stream_without_subscribers_is_not_opened_again(fake, hubs):
    hub = hubs(fake.server.url, linger=PATIENCE)
    listen(hub)[1].close()
    threads = feed_threads()
    fake.cut()
    for thread in threads:
        thread.join(PATIENCE)
    assert (fake.subscriptions, feed_threads()) == (1, [])
    listener, _ = listen(hub)
    fake.event("session.idle", {"sessionID": "ses_1"})
    listener.wait_for("session.idle")


def test_closing_ends_a_stream_that_is_kept(fake, hubs):
    hub = hubs(fake.server.url, linger=PATIENCE)
    listen(hub)[1].close()
    assert len(feed_threads()) == 1
    hub.close()
    assert feed_threads() == []


# What passes and what does not...


def test_the_streams_own_events_and_second_copies_are_kept_back(fake, hub):
    listener, _ = listen(hub)
    fake.send(HEARTBEAT)
    sync = {"directory": DIRECTORY, "payload": {"type": "sync", "syncEvent": {}}}
    fake.send(raw_frame(json.dumps(sync)))
    fake.event("server.instance.disposed", {"directory": DIRECTORY})
    listener.wait_for("server.instance.disposed")
    assert listener.types() == ["server.instance.disposed"]


def test_unknown_events_pass_and_broken_ones_are_counted(fake, hub):
    listener, _ = listen(hub)
    fake.send(raw_frame("{broken"))
    fake.send(raw_frame('{"payload": []}'))
    fake.event("hologram.projected", {"sessionID": "ses_1", "depth": 3})
    listener.wait_for("hologram.projected")
    event = listener.events()[0]
    assert (event.session_id, event.directory, event.id) == ("ses_1", DIRECTORY, "evt_1")
    assert json.loads(event.message.properties_json)["depth"] == 3
    assert hub.odd == {"frame: not JSON": 1, "frame: no event": 1}


def test_a_subscriber_that_fails_does_not_disturb_the_others(fake, hub, logged):
    class Failing(Listener):
        def event(self, event):
            raise LookupError("oh dear")

    hub.subscribe(Failing(), deadline=soon())
    listener, _ = listen(hub)
    for _ in range(3):
        fake.event("session.idle", {"sessionID": "ses_1"})
    listener.wait_for("session.idle", 3)
    assert "".join(logged).count("a subscriber to OpenCode's events failed") == 1


def test_a_slow_subscriber_costs_the_others_no_event(fake, hub):
    class Slow(Listener):
        def event(self, event):
            time.sleep(0.02)  # what it must not do
            super().event(event)

    slow = Slow()
    hub.subscribe(slow, deadline=soon())
    listener, _ = listen(hub)
    for number in range(30):
        fake.event("session.idle", {"sessionID": f"ses_{number}"})
    listener.wait_for("session.idle", 30)
    expected = [f"ses_{number}" for number in range(30)]
    assert [event.session_id for event in listener.events()] == expected
    slow.wait_for("session.idle", 30)


def test_a_bug_in_reading_one_event_does_not_end_the_others(fake, hub, monkeypatch, logged):
    listener, _ = listen(hub)
    read = hub._reader.read

    def fail_once(data):
        monkeypatch.setattr(hub._reader, "read", read)
        raise LookupError("a bug")

    monkeypatch.setattr(hub._reader, "read", fail_once)
    fake.event("session.idle", {"sessionID": "ses_1"})
    fake.event("session.error", {})
    listener.wait_for("session.error")
    assert listener.types() == ["session.error"]
    assert "this is a bug" in "".join(logged)


def test_folders_of_questions_are_known(fake, hub):
    listener, _ = listen(hub)
    fake.event("question.asked", {"id": "que_1", "sessionID": "ses_1"})
    fake.event("permission.asked", {"id": "per_1", "sessionID": "ses_1"}, "/other")
    listener.wait_for("permission.asked")
    assert hub.directory_of_question("que_1") == DIRECTORY
    assert hub.directory_of_question("per_1") == "/other"
    assert hub.directory_of_question("que_2") is None


# Keys...


def providers(key=KEY):
    return Answer({"providers": [{"id": "stub", "key": key, "models": {}}], "default": {}})


def refused_key(words=f"no such key: {KEY}"):
    return {"sessionID": "ses_1", "error": {"name": "APIError", "data": {"message": words}}}


def test_keys_that_the_server_knows_are_hidden(fake, hub):
    fake.answers["/config/providers"] = providers()
    listener, _ = listen(hub)
    fake.event("session.error", refused_key())
    fake.event("session.error", refused_key())
    listener.wait_for("session.error", 2)
    for event in listener.events():
        assert event.properties["error"]["data"]["message"] == "no such key: [key]"
        assert KEY not in str(event.message)
    asked = [each for each in fake.server.requests if each.path == "/config/providers"]
    assert [each.query for each in asked] == [{"directory": [DIRECTORY]}]


def test_keys_that_were_named_are_hidden_when_the_server_does_not_tell(fake, hub, monkeypatch):
    monkeypatch.setattr(opencode_event_secrets, "_AGE", 0.0)
    hub.hide([KEY])
    listener, _ = listen(hub)
    answers = (Answer({"x": 1}), Answer(status=500), Answer("x"))
    for count, answer in enumerate(answers, 1):
        fake.answers["/config/providers"] = answer
        fake.event("session.error", refused_key())
        listener.wait_for("session.error", count)
    fake.send(frame("session.error", refused_key(), None))
    listener.wait_for("session.error", 4)
    assert KEY not in "".join(str(event.message) for event in listener.events())
    asked = [each for each in fake.server.requests if each.path == "/config/providers"]
    assert asked[-1].query == {}


def test_a_server_that_does_not_tell_its_keys_delays_events_for_a_moment_only(
    fake, hub, monkeypatch
):
    monkeypatch.setattr(opencode_event_secrets, "_ASK_TIMEOUT", 0.1)
    fake.answers["/config/providers"] = Raw(lambda send: fake.server.closing.wait(PATIENCE))
    listener, _ = listen(hub)
    fake.event("session.error", refused_key("no"))
    listener.wait_for("session.error")


def test_the_folders_whose_keys_are_known_are_bounded(hub, fake):
    listener, _ = listen(hub)
    hub._secrets._asked.update((f"/{number}", 0.0) for number in range(1000))
    fake.event("session.error", refused_key())
    listener.wait_for("session.error")
    assert list(hub._secrets._asked) == [DIRECTORY]


# No stream...


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (Answer(content=b"<html>", content_type="text/html"), "SERVER_ERROR"),
        (Answer(content=b"", status=401), "AUTH_ERROR"),
        (Raw(lambda send: None), "NO_SERVER"),
        (Raw(lambda send: send(CHUNKED)), "NO_SERVER"),
    ],
    ids=["web page", "password", "nothing", "no first event"],
)
def test_a_server_without_events_is_an_error(fake, hub, refusal, code):
    fake.refuse = refusal
    assert failure(hub.subscribe, Listener(), deadline=soon())[0] == code
    assert (fake.subscriptions, feed_threads()) == (1, [])
    fake.refuse = None
    listen(hub)  # it is tried anew


def test_no_server_is_an_error_at_once_for_all_who_wait(hubs, serve):
    server = serve(Answer([]))
    hub = hubs(server.url)
    server.stop()
    with ThreadPoolExecutor(4) as pool:
        tasks = [pool.submit(failure, listen, hub) for _ in range(4)]
        codes = {task.result(PATIENCE)[0] for task in tasks}
    assert codes == {"NO_SERVER"}
    assert feed_threads() == []


def test_a_server_that_does_not_answer_is_an_error_at_the_deadline(fake, hubs):
    hub = hubs(fake.server.url, connect=PATIENCE)
    fake.refuse = Raw(lambda send: fake.server.closing.wait(PATIENCE))
    code, message = failure(hub.subscribe, Listener(), deadline=Deadline.after(0.2))
    assert (code, "did not begin to send events" in message) == ("SERVER_ERROR", True)
    assert feed_threads() == []


def test_a_server_that_does_not_answer_is_given_up(fake, hubs):
    hub = hubs(fake.server.url, connect=0.2)
    fake.refuse = Raw(lambda send: fake.server.closing.wait(PATIENCE))
    code, message = failure(hub.subscribe, Listener(), deadline=Deadline(None))
    assert (code, "within the time allowed" in message) == ("SERVER_ERROR", True)


def test_a_deadline_that_has_passed_is_an_error_without_a_server(fake, hub):
    fake.refuse = Raw(lambda send: fake.server.closing.wait(PATIENCE))
    assert failure(hub.subscribe, Listener(), deadline=NOW)[0] == "SERVER_ERROR"
    assert feed_threads() == []


def test_a_bug_in_connecting_is_an_error_for_who_waits(fake, hub, monkeypatch, logged):
    def fail(*args):
        raise LookupError("a bug")

    monkeypatch.setattr(opencode_feed, "make_sure", fail)
    code, message = failure(hub.subscribe, Listener(), deadline=Deadline(None))
    assert (code, "its log says more" in message) == ("SERVER_ERROR", True)
    assert "this is a bug" in "".join(logged)


# Losses...


def test_a_stream_that_ends_is_opened_again(fake, hub):
    listener, _ = listen(hub)
    fake.event("session.idle", {"sessionID": "ses_1"})
    listener.wait_for("session.idle")
    fake.cut()
    listener.wait_for("resubscribed")
    fake.event("session.error", {})
    listener.wait_for("session.error")
    assert fake.subscriptions == 2
    assert len(feed_threads()) == 1


def test_missing_heartbeats_are_a_loss(fake, hubs):
    hub = hubs(fake.server.url, silence=0.3)
    listener, _ = listen(hub)
    listener.wait_for("resubscribed")
    assert fake.subscriptions >= 2


def test_heartbeats_keep_the_stream(fake, hubs):
    hub = hubs(fake.server.url, silence=1.0)
    listener, _ = listen(hub)
    pause = threading.Event()
    for _ in range(15):
        fake.send(HEARTBEAT)
        pause.wait(0.1)
    assert (fake.subscriptions, listener.types()) == (1, [])


def test_broken_framing_is_a_loss(fake, hub):
    listener, _ = listen(hub)
    fake.send(b"nonsense\r\n", chunked=False)
    listener.wait_for("resubscribed")
    fake.event("session.idle", {"sessionID": "ses_1"})
    listener.wait_for("session.idle")


def test_a_server_that_is_restarted_is_found_again(hubs):
    events = FakeEvents()
    server = HttpServer(events)
    hub = hubs(server.url)
    listener, subscription = listen(hub)
    events.stop()
    server.stop()
    again = FakeEvents()
    server = HttpServer(again, port=server.port)
    listener.wait_for("resubscribed")
    again.event("session.idle", {"sessionID": "ses_1"})
    listener.wait_for("session.idle")
    subscription.close()
    again.stop()
    server.stop()
    assert feed_threads() == []


def test_who_comes_while_the_server_is_away_is_told_at_once_and_the_others_wait(fake, hubs):
    hub = hubs(fake.server.url, shortest_pause=PATIENCE, longest_pause=PATIENCE)
    listener, _ = listen(hub)
    fake.refuse = Answer(content=b"<html>", content_type="text/html")
    fake.cut()
    fake.wait_for(2)
    began = time.monotonic()
    assert failure(hub.subscribe, Listener(), deadline=soon())[0] == "SERVER_ERROR"
    assert time.monotonic() - began < PATIENCE / 2
    assert listener.types() == []
    fake.refuse = None
    late, _ = listen(hub)
    listener.wait_for("resubscribed")
    fake.event("session.idle", {"sessionID": "ses_1"})
    for each in (listener, late):
        each.wait_for("session.idle")


def test_the_feed_ends_while_it_waits_for_the_server(fake, hubs):
    hub = hubs(fake.server.url, shortest_pause=PATIENCE, longest_pause=PATIENCE)
    listener, subscription = listen(hub)
    fake.refuse = Answer(content=b"<html>", content_type="text/html")
    fake.cut()
    fake.wait_for(2)
    subscription.close()
    assert feed_threads() == []
    assert listener.types() == []


def test_a_server_that_ends_each_stream_at_once_is_not_run_down(fake, hubs, monkeypatch):
    pauses = []
    hub = hubs(fake.server.url, settled=PATIENCE)
    pause = opencode_feed.Feed._pause

    def note(feed, seconds):
        pauses.append(seconds)
        pause(feed, 0.001)

    monkeypatch.setattr(opencode_feed.Feed, "_pause", note)
    listener, subscription = listen(hub)
    for count in range(1, 6):
        fake.cut()
        listener.wait_for("resubscribed", count)
    subscription.close()
    assert len(pauses) >= 4  # the first was at once
    assert 0 < pauses[0] < pauses[3] <= QUICK.longest_pause


# What is read again...


def session(number, **fields):
    return {"id": f"ses_{number}", "directory": DIRECTORY, **fields}


def message(number, session_id="ses_1", parts=()):
    info = {"id": f"msg_{number}", "sessionID": session_id, "role": "assistant"}
    return {"info": info, "parts": list(parts)}


def part(number, **fields):
    return {"id": f"prt_{number}", "sessionID": "ses_1", "messageID": "msg_1", **fields}


def lose(fake, listener):
    """Lose the stream, and wait until all was read again."""
    fake.cut()
    fake.wait_for(2)
    listener.wait_for("resubscribed")
    fake.event("test.end", {})
    listener.wait_for("test.end")


def test_what_changed_meanwhile_is_read_again(fake, hub):
    whole = part(1, type="text", text="Hello", time={"start": 1, "end": 2})
    permission = {"id": "per_1", "sessionID": "ses_2", "permission": "bash", "patterns": ["ls"]}
    question = {"id": "que_1", "sessionID": "ses_2", "questions": []}
    stale = {**permission, "id": "per_2", "sessionID": "ses_1"}  # nobody is at work there
    odd = {**permission, "id": "per_3", "sessionID": [1]}
    fake.answers.update(
        {
            "/session": Answer([session(1), session(2), 7, {"id": None}]),
            "/session/ses_1/message": Answer([message(1, parts=[whole, 7]), 7, {"info": 7}]),
            "/session/ses_2/message": Answer([message(2, "ses_2")]),
            "/permission": Answer([stale, odd, permission]),
            "/question": Answer([question]),
            "/session/status": Answer({"ses_2": {"type": "busy"}}),
        }
    )
    listener, _ = listen(hub)
    fake.event("session.status", {"sessionID": "ses_1", "status": {"type": "busy"}})
    listener.wait_for("session.status")
    fake.cut()
    fake.wait_for(2)
    # Its part was read again whole, so this one is old news.
    late = {"sessionID": "ses_1", "messageID": "msg_1", "partID": "prt_1", "delta": "Hel"}
    listener.wait_for("resubscribed")
    fake.event("message.part.delta", late)
    fake.event("test.end", {})
    listener.wait_for("test.end")
    told = listener.got[1:]
    assert told[0] == "resubscribed"
    assert [(each.type, each.session_id, each.replayed) for each in told[1:]] == [
        ("session.updated", "ses_1", True),
        ("session.updated", "ses_2", True),
        ("message.updated", "ses_1", True),
        ("message.part.updated", "ses_1", True),
        ("message.updated", "ses_2", True),
        ("permission.asked", "ses_2", True),
        ("question.asked", "ses_2", True),
        ("session.status", "ses_2", True),
        ("session.status", "ses_1", True),
        ("session.idle", "ses_1", True),
        ("test.end", "", False),
    ]
    assert {each.directory for each in told[1:]} == {DIRECTORY}
    assert told[4].message.event.message_part_updated.part.text.text == "Hello"
    assert told[6].message.event.permission_asked.request.id == "per_1"
    assert told[9].properties["status"] == {"type": "idle"}
    listed = next(each for each in fake.server.requests if each.path == "/session")
    assert listed.query["directory"] == [DIRECTORY]
    assert listed.query["limit"] == ["-1"]
    assert abs(int(listed.query["start"][0]) / 1000 - time.time()) < PATIENCE
    assert hub.directory_of_question("que_1") == DIRECTORY


def test_a_session_that_is_gone_is_told(fake, hub):
    gone = Answer({"name": "NotFoundError", "data": {"message": "no"}}, status=404)
    fake.answers["/session/ses_1/message"] = gone
    fake.answers["/session/status"] = Answer({})
    listener, _ = listen(hub)
    fake.event("session.created", {"sessionID": "ses_1", "info": {"id": "ses_1"}})
    listener.wait_for("session.created")
    lose(fake, listener)
    assert listener.types()[1:-1] == ["resubscribed", "session.deleted"]


def test_messages_that_opencode_cannot_list_are_left_out(fake, hub):
    def answer(request):
        if int(request.query["limit"][0]) > 3:
            return Answer({"name": "BadRequest", "data": {"kind": "Body"}}, status=400)
        return Answer([message(1)])

    fake.answers["/session/ses_1/message"] = answer
    fake.answers["/session/ses_2/message"] = Answer({"_tag": "BadRequest"}, status=400)
    listener, _ = listen(hub)
    for each in ("ses_2", "ses_1"):
        fake.event("session.created", {"sessionID": each, "info": {"id": each}})
    listener.wait_for("session.created", 2)
    lose(fake, listener)
    assert listener.types()[2:-1] == ["resubscribed", "message.updated"]


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=500),
        Answer(content=b"<html>", content_type="text/html"),
        Answer({"name": "NotFoundError"}, status=404),
        Answer({"x": 1}),
        Answer([[1]]),
        Answer(7),
    ],
    ids=["500", "web page", "404", "object", "list", "number"],
)
def test_what_cannot_be_read_again_does_not_end_the_events(fake, hub, answer, logged):
    for path in ("/session", "/permission", "/question", "/session/status"):
        fake.answers[path] = answer
    listener, _ = listen(hub)
    fake.event("project.updated", {})
    listener.wait_for("project.updated")
    lose(fake, listener)
    # Unknown states of a session are told, as they would be live.
    assert {*listener.types()[1:]} <= {"resubscribed", "session.status", "test.end"}


def test_a_bug_in_reading_again_does_not_end_the_events(fake, hub, monkeypatch, logged):
    def fail(*args, **options):
        raise LookupError("a bug")

    monkeypatch.setattr(opencode_hub, "read_again", lambda *args, **options: map(fail, [1]))
    listener, _ = listen(hub)
    lose(fake, listener)
    assert "reading events again failed; this is a bug" in "".join(logged)


def collect(http, memory, *, seconds=PATIENCE, stopped=False):
    missed = read_again(
        http,
        memory,
        lost_at=time.time(),
        deadline=Deadline.after(seconds),
        stopped=lambda: stopped,
    )
    return [each.type for each in missed]


def test_reading_again_ends_with_its_time_its_owner_and_its_server(fake, hub, logged):
    fake.answers["/permission"] = Answer([{"id": "per_1"}])
    listener, _ = listen(hub)
    fake.event("project.updated", {})
    listener.wait_for("project.updated")
    http = OpenCodeHttp(fake.server.url)
    assert collect(http, hub._memory) == ["permission.asked"]
    count = len(fake.server.requests)
    assert collect(http, hub._memory, seconds=0) == []
    assert collect(http, hub._memory, stopped=True) == []
    assert len(fake.server.requests) == count
    http.close()
    hub.close()
    fake.stop()
    fake.server.stop()
    logged.clear()
    assert collect(OpenCodeHttp(fake.server.url), hub._memory) == []
    assert "".join(logged).count("may have been missed is not known") == 1


def test_only_sessions_of_late_are_read_again(fake, monkeypatch, hub):
    monkeypatch.setattr(opencode_hub_replay, "_LATELY", 0.0)
    fake.answers["/session/status"] = Answer({"ses_2": {"type": "busy"}})
    listener, _ = listen(hub)
    fake.event("session.idle", {"sessionID": "ses_1"})
    fake.event("session.status", {"sessionID": "ses_2", "status": {"type": "busy"}})
    listener.wait_for("session.status")
    lose(fake, listener)
    paths = {each.path for each in fake.server.requests}
    assert "/session/ses_2/message" in paths
    assert "/session/ses_1/message" not in paths


def test_nothing_is_read_again_when_nothing_passed(fake, hub):
    listener, _ = listen(hub)
    lose(fake, listener)
    assert {each.path for each in fake.server.requests} == {"/global/event", "/tui/publish"}
    assert collect(OpenCodeHttp(fake.server.url), EventMemory()) == []


# The end...


def test_closing_tells_the_subscribers_and_lets_none_come(fake, hub):
    listener, subscription = listen(hub)
    hub.close("the server was stopped")
    hub.close("again")
    assert listener.types() == ["ended: the server was stopped"]
    assert feed_threads() == []
    code, message = failure(hub.subscribe, Listener(), deadline=soon())
    assert (code, "the server was stopped" in message) == ("NO_SERVER", True)
    subscription.close()


def test_closing_ends_the_wait_for_a_subscription(fake, hubs):
    hub = hubs(fake.server.url, connect=2.0)
    fake.refuse = Raw(lambda send: fake.server.closing.wait(PATIENCE))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(failure, hub.subscribe, Listener(), deadline=soon())
        fake.wait_for(1)
        hub.close()
        assert waiting.result(PATIENCE)[0] == "NO_SERVER"
    assert feed_threads() == []


def test_disconnecting_tells_the_subscribers_and_others_may_come(fake, hub):
    listener, _ = listen(hub)
    hub.disconnect("another server is in use")
    assert listener.types() == ["ended: another server is in use"]
    late, _ = listen(hub)
    fake.event("session.idle", {"sessionID": "ses_1"})
    late.wait_for("session.idle")
    assert len(listener.got) == 1


def test_who_waits_while_others_are_disconnected_gets_events_all_the_same(fake, hub):
    fake.refuse = Raw(lambda send: fake.server.closing.wait(PATIENCE))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(listen, hub)
        fake.wait_for(1)
        fake.refuse = None
        hub.disconnect("another server is in use")
        listener, _ = waiting.result(PATIENCE)
    fake.event("session.idle", {"sessionID": "ses_1"})
    listener.wait_for("session.idle")
    assert listener.types() == ["session.idle"]


def test_a_feed_that_was_let_go_of_is_not_listened_to(fake, hub):
    listener, subscription = listen(hub)
    old = hub._feed
    subscription.close()
    listener, _ = listen(hub)
    assert not hub.feed_failed(old, BackendError(1, "late"))
    hub.feed_connecting(old)
    hub.feed_connected(old, 1.0)
    hub.feed_lost(old, BackendError(1, "late"))
    hub.feed_frame(old, '{"payload": {"type": "session.error", "properties": {}}}')
    fake.event("session.idle", {"sessionID": "ses_1"})
    listener.wait_for("session.idle")
    assert listener.types() == ["session.idle"]


def test_a_subscriber_may_close_the_hub(fake, hub):
    closed = threading.Event()

    class Closing(Listener):
        def event(self, event):
            hub.close("enough")
            closed.set()

    closing = Closing()
    hub.subscribe(closing, deadline=soon())
    threads = feed_threads()
    fake.event("session.idle", {"sessionID": "ses_1"})
    assert closed.wait(PATIENCE)
    for thread in threads:
        thread.join(PATIENCE)
    assert closing.types() == ["ended: enough"]


# With the servers in use...


def servers_with(configured):
    return Servers(
        configured, username="opencode", password=None, directory=None, executable=None, environ={}
    )


def test_a_released_server_has_no_more_events(fake):
    binding = Binding(OpenCodeHttp(fake.server.url))
    listener = Listener()
    binding.events.subscribe(listener, deadline=soon())
    assert binding.release(soon())
    assert [each.partition(":")[0] for each in listener.types()] == ["ended"]
    assert feed_threads() == []


def test_closing_the_servers_ends_the_events_of_the_configured_one(fake):
    binding = Binding(OpenCodeHttp(fake.server.url))
    servers = servers_with(binding)
    listener = Listener()
    binding.events.subscribe(listener, deadline=soon())
    servers.close()
    assert len(listener.types()) == 1
    assert feed_threads() == []


def test_events_of_a_server_that_another_takes_the_place_of_end(fake):
    configured = Binding(OpenCodeHttp(fake.server.url))
    servers = servers_with(configured)
    listener = Listener()
    configured.events.subscribe(listener, deadline=soon())
    servers._bind(configured, soon())
    assert listener.types() == []
    servers._bind(Binding(OpenCodeHttp(fake.server.url)), soon())
    assert listener.types() == ["ended: another OpenCode server is in use now; subscribe again"]
    servers._bind(configured, soon())
    late = Listener()
    configured.events.subscribe(late, deadline=soon())
    servers.close()
    assert len(late.types()) == 1


def test_a_stream_without_chunks_works_too(fake, hub):
    fake.greeting = HEAD + b"\r\n" + frame("server.connected", {}, None)
    listener, _ = listen(hub)
    fake.send(frame("session.idle", {"sessionID": "ses_1"}), chunked=False)
    listener.wait_for("session.idle")
