# SPDX-License-Identifier: Apache-2.0
"""The main job on a small real target: session, SSH, console, power, disk, end."""

import json
import subprocess

import dvmtest
import pytest


@pytest.fixture(scope="module")
def session(cloud, tiny):
    tiny.on()
    made = cloud.json("debug", tiny.name, "--stack", "disk")
    yield made["session"]
    cloud.dvm("session", "end", made["session"])


def test_session_is_ready_and_has_an_address(cloud, session):
    shown = cloud.json("session", "show", session)
    assert shown["state"] == "ready"
    assert shown["address"] == f"{session}.dvm"
    assert shown["host_key"].startswith("ssh-ed25519 ")


def test_ssh_runs_commands_and_passes_their_status_on(cloud, session):
    assert cloud.dvm("ssh", session, "--", "id", "-u").stdout.strip() == "0"
    assert cloud.dvm("ssh", session, "--", "exit 7", check=False).returncode == 7


def test_ssh_carries_binary_data_both_ways(cloud, session):
    data = bytes(range(256)) * 8192
    result = subprocess.run(
        [str(dvmtest.DVM), "ssh", session, "--", "cat"], input=data, capture_output=True, env=cloud.env, timeout=180, check=True
    )
    assert result.stdout == data


def test_plain_ssh_works_through_ssh_config(cloud, session, tmp_path):
    config = tmp_path / "config"
    config.write_text(cloud.dvm("ssh-config").stdout)
    result = dvmtest.run("ssh", "-F", config, f"root@{session}.dvm", "hostname", env=cloud.env)
    assert result.stdout.strip() == session


def test_files_go_there_and_back_with_scp_and_sftp(cloud, session, tmp_path):
    config, sent = tmp_path / "config", tmp_path / "sent"
    config.write_text(cloud.dvm("ssh-config").stdout)
    sent.write_bytes(bytes(range(256)) * 4096)
    there = f"root@{session}.dvm:/tmp/there"
    for old in ([], ["-O"]):
        dvmtest.run("scp", *old, "-q", "-F", config, sent, there, env=cloud.env)
        dvmtest.run("scp", *old, "-q", "-F", config, there, tmp_path / "back", env=cloud.env)
        assert (tmp_path / "back").read_bytes() == sent.read_bytes()
        (tmp_path / "back").unlink()


def test_a_terminal_gets_a_shell_with_the_words_of_welcome(cloud, session):
    out = cloud.dvm("ssh", "-o", "RequestTTY=force", session, input="echo $LANG; exit\n").stdout
    assert "target help" in out and "C.UTF-8" in out


def test_another_host_key_is_refused(cloud, session, tmp_path):
    known = tmp_path / "known"
    dvmtest.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key")
    known.write_text(f"{session}.dvm {(tmp_path / 'key.pub').read_text()}")
    config = tmp_path / "config"
    config.write_text(cloud.dvm("ssh-config").stdout)
    result = dvmtest.run(
        "ssh", "-F", config, "-o", "KnownHostsCommand=none", "-o", f"UserKnownHostsFile={known}", f"root@{session}.dvm", "true",
        env=cloud.env, check=False,
    )
    assert result.returncode == 255
    assert "verification failed" in result.stderr.lower()


def test_disk_stack_is_there_and_root_is_an_overlay(cloud, session):
    out = cloud.dvm("ssh", session, "--", "which e2fsck xfs_repair lvm cryptsetup; findmnt -no FSTYPE /").stdout
    assert "e2fsck" in out and "cryptsetup" in out and "overlay" in out


def test_the_d_vm_has_no_network(cloud, session):
    links = cloud.dvm("ssh", session, "--", "ls /sys/class/net").stdout.split()
    assert links == ["lo"]


def test_target_info_names_the_session_and_the_target(cloud, session, tiny):
    info = json.loads(cloud.dvm("ssh", session, "--", "target info --json").stdout)
    assert info["id"] == session
    assert [t["name"] for t in info["targets"]] == [tiny.name]


def test_console_is_kept_from_the_first_byte(cloud, tiny, session):
    tiny.off()
    # The kernel was told to be quiet: the first that speaks is our init, and the prompt ends it.
    assert "tiny: start" in tiny.boot()


def test_console_in_the_d_vm_reaches_the_same_guest(cloud, tiny, session):
    out = cloud.dvm("ssh", session, "--", "printf 'echo from-the-dvm\\r' | target console --until 'from-the-dvm' --timeout 60").stdout
    assert "from-the-dvm" in out


def test_power_verbs_act_and_are_recorded(cloud, tiny, session):
    cloud.dvm("ssh", session, "--", "target power pause")
    assert tiny.state() == "paused"
    assert cloud.json("vm", "show", tiny.name)["state"] == "paused"
    cloud.dvm("ssh", session, "--", "target power resume")
    assert tiny.state() == "running"
    done = [row["detail"] for row in cloud.json("audit", "--session", session) if row["action"] == "vm.power"]
    assert done[-2:] == ["pause", "resume"]


def test_repair_of_a_real_disk(cloud, tiny, session):
    refused = cloud.dvm("ssh", session, "--", "target disk attach", check=False)
    assert refused.returncode != 0 and "is not off" in refused.stderr
    cloud.dvm("ssh", session, "--", "target power off")
    cloud.dvm("ssh", session, "--", "target disk attach")
    assert cloud.dvm("power", "on", tiny.name, check=False).returncode != 0
    script = "e2fsck -fy /dev/target/web-1/vda && mount /dev/target/web-1/vda /mnt && echo repaired >/mnt/note && umount /mnt"
    cloud.dvm("ssh", session, "--", script)
    cloud.dvm("ssh", session, "--", "target disk detach")
    assert "t0-vda" not in cloud.dvm("ssh", session, "--", "cat /sys/block/*/serial", check=False).stdout
    tiny.boot()
    assert "repaired" in tiny.type("cat /disk/note\r", "repaired")


def test_recording_plays_back(cloud, tiny, session, tmp_path):
    cast = tmp_path / "web-1.cast"
    cast.write_text(cloud.dvm("record", "get", session, tiny.name).stdout)
    header = json.loads(cast.read_text().splitlines()[0])
    assert header["version"] == 2
    # asciinema wants a terminal even to print.
    assert "tiny>" in dvmtest.run("script", "-qec", f"asciinema cat {cast}", "/dev/null").stdout
