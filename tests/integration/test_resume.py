# SPDX-License-Identifier: Apache-2.0
"""A console over connections that are cut anywhere: what is read is what was said, what is typed arrives, each byte once.

Every leg is cut: between `dvm console` and the gate by a proxy, after random numbers of bytes in either direction; between gate
and relay by SIGKILL of dvm-gate and of the relay. The fake hypervisor's guest says a known text, and keeps what is typed."""
import os
import random
import re
import select
import socket
import struct
import subprocess
import threading
import time
import urllib.parse

import dvmtest
import pytest
import rpc

SEEDS = [int(seed) for seed in os.environ.get("DVM_SEED", "").split()] or [random.SystemRandom().randrange(1 << 32) for _ in range(1)]


class Cutter:
    """A proxy whose connections break after a random number of bytes, in no order with what flows."""

    def __init__(self, url, rng):
        self.to = urllib.parse.urlsplit(url)
        self.rng, self.cuts, self.cutting = rng, 0, False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"{self.to.scheme}://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            budget = self.rng.randrange(self.rng.choice([8000, 100000, 100000]))
            far = socket.create_connection((self.to.hostname, self.to.port))
            state = {"left": budget, "lock": threading.Lock()}
            for pair in ((near, far), (far, near)):
                threading.Thread(target=self._copy, args=[*pair, state], daemon=True).start()

    def _copy(self, source, sink, state):
        try:
            while data := source.recv(self.rng.choice([7, 500, 16384])):
                if self.cutting:
                    with state["lock"]:
                        taken = min(len(data), state["left"])
                        state["left"] -= taken
                    sink.sendall(data[:taken])
                    if taken < len(data):
                        self.cuts += 1
                        break
                else:
                    sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                if self.rng.random() < 0.5:  # also without a goodbye: what is under way is thrown away
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RDWR)
                end.close()
            except OSError:
                pass

    def close(self):
        self.listener.close()


class Guest:
    def __init__(self, cloud, name):
        self.cloud, self.name = cloud, name
        self.fake = rpc.Peer(next(cloud.state.rglob("fakevirt.sock")), hello=False)
        self.uuid = self.fake.call("script.define", name=name, boot=["hello"], line_ms=1)["uuid"]
        cloud.dvm("vm", "adopt", name)
        self.vm = cloud.json("vm", "show", name)["id"]
        cloud.dvm("power", "on", name)
        cloud.dvm("console", name, "--read-only", "--until", "login: ", "--timeout", 60)

    def say(self, text):
        self.fake.call("script.print", domain=self.uuid, text=text)

    def typed(self):
        """What was typed; "" also where nothing was yet."""
        try:
            return self.fake.call("script.input", domain=self.uuid)["text"]
        except rpc.Fault as fault:
            assert fault.code == "bad-value"
            return ""

    def offset(self):
        return int(self.cloud.dvm("console", self.name, "--offset").stdout)


@pytest.fixture(scope="module")
def cloud():
    with dvmtest.Cloud(uri="fake:") as up:
        yield up


@pytest.fixture
def guest(cloud, request):
    guest = Guest(cloud, re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:40].strip("-"))
    yield guest
    cloud.dvm("power", "off", guest.name)
    guest.fake.call("script.undefine", domain=guest.uuid)
    cloud.dvm("vm", "release", guest.name)
    guest.fake.close()


def sequence(count):
    return "".join(f"line {n:07d}\r\n" for n in range(count))


def start(cloud, url, *args, **kw):
    return subprocess.Popen([str(dvmtest.DVM), *map(str, args)], env={**cloud.env, "DVM_URL": url}, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, **kw)


def say_all(guest, text, rng, between=lambda: None):
    at = 0
    while at < len(text):
        n = rng.choice([1, 50, 4000, 40000])
        guest.say(text[at : at + n])
        at += n
        between()


@pytest.mark.parametrize("seed", SEEDS)
def test_reader_over_cut_connections(cloud, guest, seed):
    rng = random.Random(seed)
    proxy = Cutter(cloud.env["DVM_URL"], rng)
    text = sequence(15000) + "the end"  # less than is kept: it can all be had however long it takes
    reader = start(cloud, proxy.url, "console", guest.name, "--read-only", "--from", guest.offset(), "--until", "the end")
    guest.say(text[:100])
    select.select([reader.stdout], [], [])  # it is there
    proxy.cutting = True
    say_all(guest, text[100:], rng)
    out, err = reader.communicate(timeout=300)
    proxy.close()
    assert out.decode() == text, (seed, proxy.cuts, err)
    assert reader.returncode == 0 and proxy.cuts > 0, err
    assert b"lost here" not in err and b"missing" not in err
    assert len(re.findall(rb"connection lost, back after \d+ s, nothing lost", err)) == err.count(b"reconnecting")


@pytest.mark.parametrize("seed", SEEDS)
def test_writer_over_cut_connections(cloud, guest, seed):
    rng = random.Random(seed)
    proxy = Cutter(cloud.env["DVM_URL"], rng)
    text = "".join(f"{n:07d}," for n in range(7500))
    writer = start(cloud, proxy.url, "console", guest.name, "--live", stdin=subprocess.PIPE)
    writer.stdin.write(text[:8].encode())
    writer.stdin.flush()
    select.select([writer.stdout], [], [])  # it is there
    proxy.cutting, at = True, 8
    while at < len(text):
        n = rng.choice([1, 100, 3000])
        try:
            writer.stdin.write(text[at : at + n].encode())
            writer.stdin.flush()
        except BrokenPipeError:
            raise AssertionError(writer.communicate()[1]) from None
        at += n
        time.sleep(rng.choice([0, 0, 0.01]))  # so that cuts fall into more than one burst
    out, err = writer.communicate(timeout=300)
    proxy.close()
    assert writer.returncode == 0, err
    assert guest.typed() == text, (seed, proxy.cuts)
    assert out.decode() == text, (seed, proxy.cuts)  # its echo
    assert proxy.cuts > 0 and b"typed" not in err, err


@pytest.mark.parametrize("seed", SEEDS[:1])
def test_both_while_the_gate_is_killed(cloud, guest, seed):
    """The gate keeps nothing: nothing may be lost or doubled."""
    rng = random.Random(seed)
    text = "".join(f"{n:07d}," for n in range(7500))
    writer = start(cloud, cloud.env["DVM_URL"], "console", guest.name, "--live", "--until", text[-16:], stdin=subprocess.PIPE)
    for at in range(0, len(text), 10000):
        writer.stdin.write(text[at : at + 10000].encode())
        writer.stdin.flush()
        wanted = rng.randrange(at, at + 10000)
        dvmtest.wait_for(lambda: len(guest.typed()) >= min(wanted, len(text) - 100) or writer.poll() is not None, "typed bytes")
        cloud.kill("dvm-gate")
    out, err = writer.communicate(timeout=300)
    assert writer.returncode == 0, err
    assert guest.typed() == text and out.decode() == text, seed
    assert b"reconnecting" in err and b"lost here" not in err and b"typed" not in err


@pytest.mark.parametrize("seed", SEEDS[:1])
def test_reader_and_writer_while_the_relay_is_killed(cloud, guest, seed):
    """What its guest says while there is no relay is lost, and where, is said; nothing comes twice. The same for what is typed."""
    rng = random.Random(seed)
    text = sequence(20000)
    reader = start(cloud, cloud.env["DVM_URL"], "console", guest.name, "--read-only", "--from", guest.offset(), "--until", "the end")
    writer = start(cloud, cloud.env["DVM_URL"], "console", guest.name, "--live", stdin=subprocess.PIPE)
    for program in (reader, writer):  # both are there
        dvmtest.wait_for(lambda: guest.say(".") or select.select([program.stdout], [], [], 0)[0], "a byte")
    typed, kills = "".join(f"<{n:06d}>" for n in range(3000)), []

    def maybe_kill():
        if len(kills) < 4 and rng.random() < 0.1:
            kills.append(cloud.kill_relay(guest.vm))
            dvmtest.wait_for(lambda: cloud.json("vm", "show", guest.name)["state"] == "running", "the VM to be known")

    def type_along():
        n = 7 * rng.randrange(1, 20)
        writer.stdin.write(typed[type_along.at : type_along.at + n].encode())
        writer.stdin.flush()
        type_along.at += n

    type_along.at = 0
    say_all(guest, text, rng, lambda: (maybe_kill(), type_along()))
    # it is there again and hears
    dvmtest.wait_for(lambda: "again" in (guest.say("again"), cloud.dvm("console", guest.name, "--read-only", "--timeout", 1).stdout)[1],
                     "the console")
    guest.say("the end")
    out, err = reader.communicate(timeout=300)
    assert reader.returncode == 0, err
    typed_err = writer.communicate(timeout=300)[1]
    assert kills and (err.count(b"something may be missing") or b"bytes lost here" not in err)
    # The guest's echo stands among its lines: take them apart again.
    lines = [int(n) for n in re.findall(r"line (\d{7})\r\n", re.sub(r"<\d{6}>", "", out.decode()))]
    assert lines == sorted(set(lines)), f"twice, or out of order: {seed}"
    if len(lines) < 20000:
        assert b"something may be missing" in err, seed
    arrived = re.findall(r"<(\d{6})>", guest.typed())
    assert arrived == sorted(set(arrived)), f"typed twice, or out of order: {seed}"
    if len(arrived) < type_along.at // 8:
        assert b"typed bytes" in typed_err or b"the VM is off" in typed_err, (seed, typed_err)
