"""Paho Python against a broker: driver.py HOST PORT VERSION SCENARIO

VERSION is 31, 311 or 5; exits 0, or 1 with a message on standard error.
"""

import os
import queue
import socket
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

HOST, PORT, VERSION, SCENARIO = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
PROTOCOL = {"31": mqtt.MQTTv31, "311": mqtt.MQTTv311, "5": mqtt.MQTTv5}[VERSION]
PATIENCE = 15
# Set from outside for the tests of transports: ws or wss, and the authority of wss.
SCHEME = os.environ.get("TRANSPORT")
TRANSPORT = "websockets" if SCHEME else "tcp"
# Set from outside for the tests of authentication.
WHO = os.environ.get("WHO")


class Client:
    """A connected client whose messages and acknowledgements can be waited for."""

    def __init__(self, client_id, lasting=False, will=None):
        five = PROTOCOL == mqtt.MQTTv5
        session = {} if five else {"clean_session": not lasting}
        self.mqtt = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id, protocol=PROTOCOL, transport=TRANSPORT, **session)
        if SCHEME == "wss":
            self.mqtt.tls_set(os.environ["CA_FILE"])
        self.messages, self.connacks, self.subacks = queue.Queue(), queue.Queue(), queue.Queue()
        self.mqtt.on_connect = lambda client, data, flags, code, props: self.connacks.put((flags, code))
        self.mqtt.on_message = lambda client, data, message: self.messages.put(message)
        self.mqtt.on_subscribe = lambda client, data, mid, codes, props: self.subacks.put(codes)
        if WHO is not None:
            self.mqtt.username_pw_set(WHO, os.environ["PROOF"])
        if will:
            self.mqtt.will_set(*will)
        options = {}
        if five:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 100 if lasting else 0
            options = {"clean_start": not lasting, "properties": properties}
        self.mqtt.connect(HOST, PORT, keepalive=60, **options)
        self.mqtt.loop_start()
        flags, code = self.connacks.get(timeout=PATIENCE)
        assert not code.is_failure, f"CONNECT was refused: {code}"
        self.session_present = flags.session_present

    def subscribe(self, topic, qos):
        self.mqtt.subscribe(topic, qos)
        codes = self.subacks.get(timeout=PATIENCE)
        assert [code.value for code in codes] == [qos], codes

    def publish(self, topic, payload, qos=1, retain=False):
        self.mqtt.publish(topic, payload, qos, retain).wait_for_publish(PATIENCE)

    def take(self):
        return self.messages.get(timeout=PATIENCE)

    def nothing(self):
        """Nothing is on its way: a marker of one's own comes first."""
        self.subscribe("marker", 1)
        self.publish("marker", "")
        message = self.take()
        assert message.topic == "marker", f"unexpected {message.topic} {message.payload[:40]}"

    def disconnect(self):
        self.mqtt.disconnect()
        self.mqtt.loop_stop()

    def die(self):
        self.mqtt.loop_stop()
        wrapped = self.mqtt.socket()
        getattr(wrapped, "_socket", wrapped).shutdown(socket.SHUT_RDWR)


def roundtrip(qos):
    subscriber, publisher = Client("subscriber"), Client("publisher")
    subscriber.subscribe("a/#", qos)
    for number in range(20):
        publisher.publish("a/b", str(number), qos)
    for number in range(20):
        message = subscriber.take()
        assert (message.topic, message.payload, message.qos) == ("a/b", str(number).encode(), qos), message.payload
    subscriber.nothing()


def retained():
    publisher, early, late = Client("publisher"), Client("early"), Client("late")
    publisher.publish("r/x", "kept", retain=True)
    early.subscribe("r/#", 1)
    message = early.take()
    assert message.payload == b"kept" and message.retain, message.payload
    publisher.publish("r/x", "", retain=True)
    assert early.take().payload == b""
    late.subscribe("r/#", 1)
    late.nothing()


def will():
    watcher = Client("watcher")
    watcher.subscribe("will", 1)
    Client("polite", will=("will", "not this", 1, False)).disconnect()
    Client("dying", will=("will", "gone", 1, False)).die()
    message = watcher.take()
    assert message.payload == b"gone", message.payload
    watcher.nothing()


def session():
    keeper = Client("keeper", lasting=True)
    assert not keeper.session_present
    keeper.subscribe("q", 2)
    keeper.disconnect()
    publisher = Client("publisher")
    for number in range(10):
        publisher.publish("q", str(number), 1 + number // 5)
    back = Client("keeper", lasting=True)
    assert back.session_present or VERSION == "31"
    got = [back.take().payload.decode() for _ in range(10)]
    assert got == [str(number) for number in range(10)], got
    back.nothing()


def shared():
    members = [Client(f"member{number}") for number in range(3)]
    for member in members:
        member.subscribe("$share/g/s", 1)
    publisher = Client("publisher")
    for number in range(30):
        publisher.publish("s", str(number))
    seen = []
    for number, member in enumerate(members):
        member.subscribe(f"end/{number}", 1)
        publisher.publish(f"end/{number}", "")
        share = []
        while (message := member.take()).topic == "s":
            share.append(message.payload.decode())
        assert share, f"member {number} got nothing"
        seen += share
    assert sorted(seen, key=int) == [str(number) for number in range(30)], seen


def payload_of(size):
    subscriber, publisher = Client("subscriber"), Client("publisher")
    subscriber.subscribe("big", 1)
    payload = os.urandom(size)
    publisher.publish("big", payload)
    assert subscriber.take().payload == payload, "the payload changed"


SCENARIOS = {
    "qos0": lambda: roundtrip(0),
    "qos1": lambda: roundtrip(1),
    "qos2": lambda: roundtrip(2),
    "retained": retained,
    "will": will,
    "session": session,
    "shared": shared,
    "big": lambda: payload_of(1 << 20),
    "maximum": lambda: payload_of((2 << 20) - 1024),
}

if __name__ == "__main__":
    try:
        SCENARIOS[SCENARIO]()
    except (AssertionError, queue.Empty, OSError) as error:
        print(f"{SCENARIO}: {error!r}", file=sys.stderr)
        os._exit(1)
    os._exit(0)
