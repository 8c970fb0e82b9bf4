"""The fixtures and the helpers that the other tests stand on."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import threading

import pytest

from brokers import BrokerFactory, Mosquitto
from mqtt_probe import Probe
from waiting import wait_for


def accepts(broker: Mosquitto) -> bool:
    """Whether something listens on a broker's port."""
    with socket.socket() as client:
        return client.connect_ex((broker.host, broker.port)) == 0


def test_wait_for_returns_what_the_condition_returned() -> None:
    answers = iter((None, "", "done"))
    assert wait_for(lambda: next(answers), 5, "an answer") == "done"


def test_wait_for_tries_once_without_any_time() -> None:
    assert wait_for(lambda: 42, 0, "an answer") == 42


def test_wait_for_says_what_did_not_happen() -> None:
    with pytest.raises(AssertionError, match=r"not within 0\.02 s: the moon is full"):
        wait_for(lambda: False, 0.02, "the moon is full")


def test_wait_for_describes_the_state_at_the_deadline() -> None:
    tries: list[int] = []

    def condition() -> bool:
        tries.append(1)
        return False

    with pytest.raises(AssertionError) as failure:
        wait_for(condition, 0.02, lambda: f"{len(tries)} tries")
    assert str(failure.value) == f"not within 0.02 s: {len(tries)} tries"
    assert len(tries) > 1


def test_free_port_is_free(free_port: int) -> None:
    with socket.create_server(("127.0.0.1", free_port)) as server:
        assert server.getsockname()[1] == free_port


def test_shared_broker_delivers(broker: Mosquitto) -> None:
    with Probe(broker.host, broker.port, subscribe=["harness/shared/#"]) as probe:
        probe.publish("harness/shared/json", {"answer": 42})
        probe.publish("harness/shared/text", "not {json")
        probe.publish("harness/shared/bytes", b"\xff")
        probe.wait_message(lambda message: message.topic == "harness/shared/bytes")
        received = [(message.topic, message.payload, message.value) for message in probe.messages]
    assert received == [
        ("harness/shared/json", b'{"answer": 42}', {"answer": 42}),
        ("harness/shared/text", b"not {json", "not {json"),
        ("harness/shared/bytes", b"\xff", "\N{REPLACEMENT CHARACTER}"),
    ]
    assert not any(message.retain for message in probe.messages)


def test_private_broker_stops_cleanly(private_broker: BrokerFactory) -> None:
    broker = private_broker()
    assert accepts(broker)
    broker.stop()
    assert not broker.running
    assert not accepts(broker)
    assert "terminating" in broker.log
    broker.stop()


def test_killed_broker_leaves_its_port(private_broker: BrokerFactory) -> None:
    broker = private_broker()
    broker.kill()
    assert not broker.running
    assert not accepts(broker)
    assert "terminating" not in broker.log
    broker.start()
    assert accepts(broker)


def test_broker_that_died_by_itself_can_be_restarted(private_broker: BrokerFactory) -> None:
    broker = private_broker()
    os.kill(broker.pid, signal.SIGKILL)
    wait_for(lambda: not broker.running, 5, "the broker is dead")
    broker.restart()
    assert accepts(broker)


def test_broker_that_cannot_start_shows_its_log(private_broker: BrokerFactory) -> None:
    broker = private_broker()
    broker.stop()
    # Bound but not listening: the port is taken, and no connection is accepted there.
    with socket.socket() as squatter:
        squatter.bind((broker.host, broker.port))
        with pytest.raises(AssertionError, match="Address already in use"):
            broker.start()
    assert not broker.running
    broker.start()


def test_restart_keeps_the_port_and_the_probe_comes_back(private_broker: BrokerFactory) -> None:
    broker = private_broker()
    port, pid = broker.port, broker.pid
    with Probe(broker.host, port, subscribe=["harness/restart"]) as listener:
        broker.restart()
        assert broker.port == port
        assert broker.pid != pid
        with Probe(broker.host, port) as sender:

            def arrives() -> bool:
                sender.publish("harness/restart", "back")
                return bool(listener.messages)

            wait_for(arrives, 10, "the listener is subscribed again", interval=0.05)


@pytest.mark.parametrize("persistence", [False, True])
def test_retained_messages_survive_with_persistence_only(private_broker: BrokerFactory, persistence: bool) -> None:
    broker = private_broker(persistence=persistence)
    with Probe(broker.host, broker.port) as probe:
        probe.publish("harness/retained", "kept", qos=1, retain=True)
    broker.restart()
    with Probe(broker.host, broker.port, subscribe=["harness/retained"]) as probe:
        # The broker sends retained messages before it answers what comes after the subscription.
        probe.publish("harness/retained", "last", qos=1)
        probe.wait_message(lambda message: message.value == "last")
        retained = [message.value for message in probe.messages if message.retain]
    assert retained == (["kept"] if persistence else [])


def test_private_brokers_are_independent(private_broker: BrokerFactory) -> None:
    one, other = private_broker(), private_broker()
    assert one.port != other.port
    one.stop()
    assert accepts(other)


def test_password_is_required(private_broker: BrokerFactory) -> None:
    broker = private_broker(username="janitoo", password="secret")
    with pytest.raises(ConnectionRefusedError):
        Probe(broker.host, broker.port)
    with pytest.raises(ConnectionRefusedError):
        Probe(broker.host, broker.port, username="janitoo", password="wrong")
    with Probe(broker.host, broker.port, username="janitoo", password="secret") as probe:
        assert probe.connected


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_tls_with_the_authority_s_certificate(private_broker: BrokerFactory, host: str) -> None:
    broker = private_broker(tls=True)
    with Probe(host, broker.port, ca_file=broker.ca_file, subscribe=["harness/tls"]) as probe:
        probe.publish("harness/tls", "hello")
        assert probe.wait_message(lambda message: message.topic == "harness/tls").value == "hello"


def test_tls_refuses_another_authority(private_broker: BrokerFactory) -> None:
    broker, other = private_broker(tls=True), private_broker(tls=True)
    with pytest.raises(ssl.SSLCertVerificationError):
        Probe(broker.host, broker.port, ca_file=other.ca_file)


def test_tls_refuses_a_plain_client(private_broker: BrokerFactory) -> None:
    broker = private_broker(tls=True)
    with pytest.raises(AssertionError, match="CONNACK"):
        Probe(broker.host, broker.port, timeout=0.5)


def test_tls_certificates_outlive_a_restart(private_broker: BrokerFactory) -> None:
    broker = private_broker(tls=True, username="janitoo", password="secret")
    before = broker.ca_file.read_bytes()
    broker.restart()
    assert broker.ca_file.read_bytes() == before
    with Probe(broker.host, broker.port, ca_file=broker.ca_file, username="janitoo", password="secret") as probe:
        assert probe.connected


def test_request_returns_the_reply(broker: Mosquitto) -> None:
    with (
        Probe(broker.host, broker.port, subscribe=["harness/request"]) as server,
        Probe(broker.host, broker.port) as client,
    ):

        def serve() -> None:
            for handled in (0, 1):
                request = server.wait_message(lambda _message: True, since=handled)
                server.publish("harness/reply/here", {"square": request.value["number"] ** 2})

        thread = threading.Thread(target=serve)
        thread.start()
        for number in (1, 2):
            reply = client.request("harness/request", {"number": number}, "harness/reply/#")
            assert reply.topic == "harness/reply/here"
            assert reply.value == {"square": number**2}
        thread.join(5)
        assert len(client.messages) == 2


def test_wait_message_says_what_came_instead(broker: Mosquitto) -> None:
    with Probe(broker.host, broker.port, subscribe=["harness/instead"]) as probe:
        probe.publish("harness/instead", "surprise")
        probe.wait_message(lambda message: message.value == "surprise")
        with pytest.raises(AssertionError, match=r"harness/instead b'surprise'"):
            probe.wait_message(lambda message: message.value == "hoped for", timeout=0.02)
        probe.clear()
        assert probe.messages == []


def test_probe_says_that_nothing_listens(free_port: int) -> None:
    with pytest.raises(ConnectionRefusedError):
        Probe("127.0.0.1", free_port)


def test_probe_ends_its_thread(broker: Mosquitto) -> None:
    before = threading.active_count()
    with Probe(broker.host, broker.port):
        assert threading.active_count() == before + 1
    assert threading.active_count() == before
