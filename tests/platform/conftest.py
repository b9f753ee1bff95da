# SPDX-License-Identifier: Apache-2.0
"""Behaviours of QEMU and libvirt that dvm relies on. Run on a host of its own: tests/run platform."""

import pathlib
import shutil
import subprocess
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import dvmtest
import hosttest
from libvirttest import URI, Target, libvirtd_start, run, virsh

@pytest.fixture(scope="session")
def libvirt():
    """libvirt's daemons, where none answers."""
    if subprocess.run(["virsh", "-q", "-c", URI, "version"], capture_output=True).returncode:
        subprocess.run(["virtlogd", "-d"], check=True)
        libvirtd_start()
    return URI


@pytest.fixture(scope="session")
def tiny():
    """Kernel, initramfs and disk of a guest that is at its prompt in seconds."""
    return hosttest.BUILD / "targets" / "tiny"


@pytest.fixture(scope="session")
def images():
    return dvmtest.images_for_everyone()


@pytest.fixture
def folder():
    """One that emulators' users can reach, as pytest's own are not."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="dvm-platform-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def target(libvirt, tiny, folder):
    target = Target(folder, tiny)
    yield target
    target.remove()
