# SPDX-License-Identifier: Apache-2.0
"""Real things gone wrong: a damaged image, no libvirt, no memory, a full disk. A clear error, and nothing changed."""

import json
import pathlib
import shutil
import subprocess

import dvmtest
import pytest
import targets


def refused(cloud, code, *argv):
    """The command fails with the code, a message and a hint; its words come back."""
    result = cloud.dvm(*argv, "--json", check=False, timeout=240)
    assert result.returncode != 0, result.stdout
    problem = json.loads(result.stdout)
    assert problem["code"] == code, problem
    assert problem["detail"] and problem["hint"]
    return problem


@pytest.fixture
def other(images, tmp_path):
    """A second dvm beside the first, with a state folder of its own that a test may spoil."""
    copy = tmp_path / "images"
    shutil.copytree(images, copy, symlinks=True, ignore=shutil.ignore_patterns(".cache", ".build-*"))
    state = pathlib.Path("/tmp/dvm-t-other")
    shutil.rmtree(state, ignore_errors=True)
    with dvmtest.Cloud(uri=targets.URI, images=copy, state=state) as cloud:
        cloud.images = copy
        yield cloud
    shutil.rmtree(state, ignore_errors=True)


def test_damaged_image(other):
    with targets.Tiny(other, "bad-image") as vm:
        image = (other.images / "default").resolve()
        name = json.loads((image / "manifest.json").read_text())["root"]["file"]
        with open(image / name, "r+b") as root:
            root.seek(1 << 20)
            byte = root.read(1)
            root.seek(1 << 20)
            root.write(bytes([byte[0] ^ 1]))
        refused(other, "image-damaged", "debug", vm.name)
        assert not targets.dvms()


def test_missing_image_and_stack(cloud, tiny):
    refused(cloud, "image-missing", "debug", tiny.name, "--image", "none")
    refused(cloud, "stack-missing", "debug", tiny.name, "--stack", "cobol")


def test_vm_that_does_not_exist_or_is_in_a_session(cloud, tiny, nothing_left):
    refused(cloud, "not-found", "debug", "no-such-vm")
    session = cloud.json("debug", tiny.name)["session"]
    refused(cloud, "vm-in-session", "debug", tiny.name)
    assert cloud.json("session", "show", session)["state"] == "ready"
    cloud.dvm("session", "end", session)


def test_no_memory_for_the_d_vm(images):
    state = pathlib.Path("/tmp/dvm-t-memory")
    shutil.rmtree(state, ignore_errors=True)
    with dvmtest.Cloud(uri=targets.URI, images=images, state=state, config="[dvm]\nmemory-mib = 1048576\n") as cloud:
        with targets.Tiny(cloud, "no-memory") as vm:
            refused(cloud, "no-capacity", "debug", vm.name)
    shutil.rmtree(state, ignore_errors=True)


def test_full_disk(images):
    """The state folder on a small file system that is full: no session half made, and all goes on when there is room."""
    state = pathlib.Path("/tmp/dvm-t-full")
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=0711", "tmpfs", state], check=True)
    try:
        with dvmtest.Cloud(uri=targets.URI, images=images, state=state) as cloud:
            with targets.Tiny(cloud, "full-disk") as vm:
                before = cloud.json("session", "list")
                filler = state / "filler"
                with open(filler, "wb", buffering=0) as out:
                    try:
                        while True:
                            out.write(b"\0" * 65536)
                    except OSError:
                        pass
                refused(cloud, "store-full", "debug", vm.name)
                assert cloud.json("session", "list") == before
                filler.unlink()
                session = cloud.json("debug", vm.name)["session"]
                cloud.dvm("session", "end", session)
    finally:
        subprocess.run(["umount", "-l", state], check=True)
        state.rmdir()


def test_hypervisor_away(cloud, tiny, nothing_left):
    tiny.on()
    with targets.libvirtd_stopped(cloud):
        problem = refused(cloud, "hypervisor-away", "power", "pause", tiny.name)
        assert "again" in problem["hint"] or "operator" in problem["hint"]
    dvmtest.wait_for(lambda: cloud.dvm("power", "pause", tiny.name, check=False).returncode == 0, "libvirt to be back", 90)
    assert tiny.state() == "paused"
    cloud.dvm("power", "resume", tiny.name)
