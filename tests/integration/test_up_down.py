# SPDX-License-Identifier: Apache-2.0
"""dvm up and dvm down, with the fake hypervisor: what is started comes back when it dies, and nothing is left at the end."""
import json
import os
import signal
import socket
import subprocess
import time

import dvmtest
import pytest

PROGRAMS = ("dvmd", "dvm-hostd", "dvm-gate")


@pytest.fixture
def cloud():
    with dvmtest.Cloud(uri="fake:") as up:
        yield up


def supervisor(cloud):
    return dvmtest.wait_for(lambda: cloud.pid("up"), "the supervisor")


def address(cloud):
    return {key: value for key, value in cloud.env.items() if key.startswith(("DVM_", "LIBVIRT_"))}


def answers(cloud):
    return cloud.dvm("whoami", check=False).returncode == 0


def test_the_environment_is_enough_and_stays_the_same(cloud):
    assert "admin" in cloud.json("whoami")["rights"]
    assert cloud.env["DVM_STATE"] == str(cloud.state)
    assert (cloud.state / "admin.token").stat().st_mode & 0o777 == 0o600
    before = address(cloud)
    cloud.up()
    assert address(cloud) == before
    as_json = json.loads(dvmtest.run(dvmtest.DVM, "up", "--state", cloud.state, "--json", env=cloud.base_env()).stdout)
    assert as_json["DVM_URL"] == before["DVM_URL"] and as_json["DVM_PIN"] == before["DVM_PIN"]


def test_down_and_up_keep_address_token_and_key(cloud):
    before = address(cloud)
    cloud.down()
    cloud.assert_clean()
    assert not answers(cloud)
    cloud.down()  # a second time is fine
    cloud.up()
    assert address(cloud) == before
    assert answers(cloud)


def test_another_key_is_noticed(cloud):
    cloud.env["DVM_PIN"] = "sha256//" + "A" * 43 + "="
    result = cloud.dvm("whoami", check=False)
    assert result.returncode == 3 and "DVM_PIN" in result.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_killed_program_comes_back(cloud, program):
    cloud.kill(program)
    dvmtest.wait_for(lambda: cloud.pid(program), f"{program} to be started again")
    dvmtest.wait_for(lambda: answers(cloud), "dvm to answer")


def test_no_connection_is_refused_while_the_gate_restarts(cloud):
    """The supervisor holds the socket, so a request waits instead of failing."""
    old = cloud.kill("dvm-gate")
    assert answers(cloud)
    assert cloud.pid("dvm-gate") != old


def test_what_dies_again_and_again_is_not_given_up(cloud):
    for _ in range(4):
        cloud.kill("dvm-hostd")
    dvmtest.wait_for(lambda: cloud.dvm("vm", "list", check=False).returncode == 0, "dvm to answer")
    log = (cloud.state / "log/up.log").read_text()
    assert log.count("dvm-hostd was ended by signal 9") == 4 and "dvm-hostd is back" in log


def test_up_after_the_supervisor_was_killed(cloud):
    before = address(cloud)
    pids = {p: cloud.pid(p) for p in PROGRAMS}
    os.kill(supervisor(cloud), signal.SIGKILL)
    dvmtest.wait_for(lambda: not cloud.pid("up"), "the supervisor to die")
    assert answers(cloud)  # nothing needs it to go on
    cloud.up()
    assert address(cloud) == before and answers(cloud)
    assert all(cloud.pid(p) not in (None, pid) for p, pid in pids.items())
    cloud.kill("dvmd")  # and they are watched again
    dvmtest.wait_for(lambda: answers(cloud), "dvm to answer")


def test_down_after_everything_was_killed(cloud):
    for program in ("up", *PROGRAMS):
        os.kill(cloud.pid(program), signal.SIGKILL)
    cloud.down()
    cloud.assert_clean()


def test_down_after_the_supervisor_was_killed(cloud):
    os.kill(supervisor(cloud), signal.SIGKILL)
    cloud.down()
    cloud.assert_clean()


def test_down_while_the_api_is_away(tmp_path):
    libexec = tmp_path / "libexec"
    libexec.mkdir()
    for program in dvmtest.LIBEXEC.iterdir():
        (libexec / program.name).symlink_to(program)
    with dvmtest.Cloud(uri="fake:", env={"DVM_LIBEXEC": str(libexec)}) as cloud:
        (libexec / "dvmd").unlink()
        cloud.kill("dvmd")
        session = cloud.state / "run/dvm/s-00000000"
        session.mkdir()
        result = dvmtest.run(dvmtest.DVM, "down", "--state", cloud.state, env=cloud.base_env(), check=False)
        assert result.returncode != 0 and "may be left" in result.stderr
        assert not dvmtest.processes(cloud.state)
        session.rmdir()  # what the next start would have found


def test_two_at_once():
    cloud = dvmtest.Cloud(uri="fake:")
    argv = [dvmtest.DVM, "up", "--detach", "--uri", "fake:", "--state", cloud.state]
    both = [subprocess.Popen(argv, env=cloud.base_env(), stdout=subprocess.PIPE, text=True) for _ in range(2)]
    texts = [p.communicate(timeout=120)[0] for p in both]
    with cloud:
        assert [p.returncode for p in both] == [0, 0]
        assert texts[0] == texts[1] and "DVM_PIN" in texts[0]


def test_foreground_and_a_signal():
    cloud = dvmtest.Cloud(uri="fake:")
    argv = [dvmtest.DVM, "up", "--uri", "fake:", "--state", cloud.state]
    up = subprocess.Popen(argv, env=cloud.base_env(), stdout=subprocess.PIPE, text=True)
    lines = [up.stdout.readline() for _ in range(4)]
    assert [line.split("=")[0] for line in lines] == [f"export DVM_{n}" for n in ("URL", "TOKEN", "PIN", "STATE")]
    up.terminate()
    assert up.wait(timeout=60) == 0
    assert not any(cloud.pid(p) for p in PROGRAMS)
    cloud.down()
    cloud.assert_clean()


def test_listen_address():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        cloud = dvmtest.Cloud(uri="fake:")
        argv = [dvmtest.DVM, "up", "--detach", "--uri", "fake:", "--state", cloud.state]
        taken = dvmtest.run(*argv, "--listen", f"127.0.0.1:{port}", env=cloud.base_env(), check=False)
        assert taken.returncode == 2 and "cannot listen" in taken.stderr
    wrong = dvmtest.run(*argv, "--listen", "localhost:x", env=cloud.base_env(), check=False)
    assert wrong.returncode == 2 and "not an address" in wrong.stderr
    out = dvmtest.run(*argv, "--listen", f"127.0.0.1:{port}", env=cloud.base_env()).stdout
    assert f"DVM_URL='https://127.0.0.1:{port}'" in out
    cloud.down()
    cloud.assert_clean()


def test_a_program_that_cannot_start_is_shown(tmp_path):
    libexec = tmp_path / "libexec"
    libexec.mkdir()
    for program in dvmtest.LIBEXEC.iterdir():
        if program.name != "dvm-hostd":
            (libexec / program.name).symlink_to(program)
    broken = libexec / "dvm-hostd"
    broken.write_text("#!/bin/sh\necho 'out of cheese' >&2\nexit 3\n")
    broken.chmod(0o755)
    cloud = dvmtest.Cloud(uri="fake:", env={"DVM_LIBEXEC": str(libexec)})
    start = time.monotonic()
    result = dvmtest.run(dvmtest.DVM, "up", "--detach", "--uri", "fake:", "--state", cloud.state, env=cloud.base_env(), check=False)
    assert result.returncode == 7 and result.stdout == ""
    assert "out of cheese" in result.stderr and "dvm-hostd did not start" in result.stderr
    assert time.monotonic() - start < 60  # it did not wait for a readiness that cannot come
    assert not dvmtest.processes(cloud.state)
    broken.unlink()
    broken.symlink_to(dvmtest.LIBEXEC / "dvm-hostd")
    with cloud:
        assert answers(cloud)

