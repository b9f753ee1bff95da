# SPDX-License-Identifier: Apache-2.0
import os
import pathlib
import shutil
import tempfile

import dvmtest
import pytest
import targets

# A path no user must ever see; the host's name and address come from tests/lib/host.
STATE = pathlib.Path("/tmp/canary-path-4711")


@pytest.fixture(scope="session")
def images():
    """The D-VM's image, built once a build folder by the command a user would type, where every user can read it."""
    here = pathlib.Path("/tmp/dvm-images")
    if not here.exists():
        if not (dvmtest.IMAGES / "default").exists():
            dvmtest.IMAGES.mkdir(exist_ok=True)
            with tempfile.TemporaryDirectory(prefix="dvm-t-") as state:
                os.symlink(dvmtest.IMAGES, f"{state}/images")
                env = dict(os.environ, DVM_LIBEXEC=str(dvmtest.LIBEXEC))
                dvmtest.run(dvmtest.DVM, "image", "build", "--state", state, env=env, timeout=900)
        shutil.copytree(dvmtest.IMAGES, here, symlinks=True, ignore=shutil.ignore_patterns(".cache", ".build-*"))
    return here


@pytest.fixture(scope="session")
def cloud(images):
    """One dvm with its libvirt for the whole run; what a test makes, it removes."""
    with dvmtest.Cloud(uri=targets.URI, images=images, state=STATE) as up:
        yield up


@pytest.fixture(scope="session")
def tiny(cloud):
    with targets.Tiny(cloud, "web-1") as vm:
        yield vm


@pytest.fixture
def nothing_left(cloud):
    """A test that uses this leaves no session, D-VM, relay of a session or run folder behind."""
    yield
    for session in cloud.json("session", "list"):
        cloud.dvm("session", "end", session["id"])
    assert not [name for name in targets.domains() if name.startswith("dvm-")]
    assert not list((cloud.state / "run/dvm").glob("*"))
    assert not list((cloud.state / "run/relay").glob("s-*"))
    assert not [line for line in dvmtest.processes(cloud.state).values() if " s-" in line]
