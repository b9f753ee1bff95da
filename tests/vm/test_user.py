# SPDX-License-Identifier: Apache-2.0
"""An ordinary user on a desktop: no root, libvirt's session daemon, the same main job."""

import json
import os
import pathlib
import shutil
import subprocess

import dvmtest
import pytest
import targets

UID = 4242
HOME = pathlib.Path("/tmp/dvm-user")


@pytest.fixture
def user():
    """A user of this test's host only: its passwd is a copy, mounted over the real one."""
    if os.getuid() != 0:
        pytest.fail("this test makes a user of its own and needs root for it")
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir(mode=0o755)
    mounted = []
    for file, line in (("passwd", f"dvmuser:x:{UID}:{UID}::{HOME}:/bin/bash\n"), ("group", f"dvmuser:x:{UID}:\n")):
        copy = HOME / file
        copy.write_text(pathlib.Path("/etc", file).read_text() + line)
        subprocess.run(["mount", "--bind", copy, f"/etc/{file}"], check=True)
        mounted.append(f"/etc/{file}")
    runtime = pathlib.Path(f"/run/user/{UID}")
    runtime.mkdir(parents=True, mode=0o700, exist_ok=True)
    shutil.copytree(dvmtest.STAGE, HOME / "stage", symlinks=True)
    shutil.copytree(dvmtest.IMAGES, HOME / "images", symlinks=True, ignore=shutil.ignore_patterns(".cache", ".build-*"))
    shutil.copytree(targets.tiny_image(), HOME / "tiny")
    subprocess.run(["chown", "-R", f"{UID}:{UID}", HOME, runtime], check=True)
    env = {
        "HOME": str(HOME),
        "USER": "dvmuser",
        "PATH": f"{HOME}/stage/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "XDG_RUNTIME_DIR": str(runtime),
        "DVM_LIBEXEC": f"{HOME}/stage/lib/dvm",
        "LANG": "C.UTF-8",
    }
    yield env
    for mount in mounted:
        subprocess.run(["umount", mount], check=True)
    shutil.rmtree(HOME, ignore_errors=True)


def as_user(env, *argv, check=True, timeout=240):
    return dvmtest.run(
        "setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--", *argv, env=env, check=check, timeout=timeout, cwd=HOME
    )


def test_main_job_without_root(user, images):
    state = HOME / "state"
    state.mkdir()
    (state / "images").symlink_to(HOME / "images")
    os.chown(state, UID, UID)
    out = as_user(user, "dvm", "up", "--detach", "--state", state).stdout
    try:
        for line in out.splitlines():
            key, _, value = line.removeprefix("export ").rstrip(";").partition("=")
            user[key] = value.strip("'\"")
        assert user["LIBVIRT_DEFAULT_URI"] == "qemu:///session"
        xml = HOME / "tiny.xml"
        xml.write_text(
            "<domain type='qemu'><name>mine</name><memory unit='MiB'>128</memory><os><type arch='x86_64' machine='pc'>hvm</type>"
            f"<kernel>{HOME}/tiny/vmlinuz</kernel><initrd>{HOME}/tiny/initrd</initrd><cmdline>console=ttyS0 quiet</cmdline></os>"
            "<features><acpi/></features><devices><serial type='pty'/><memballoon model='none'/></devices></domain>"
        )
        os.chown(xml, UID, UID)
        as_user(user, "virsh", "-q", "define", xml)
        as_user(user, "dvm", "vm", "adopt", "mine")
        as_user(user, "dvm", "power", "on", "mine")
        as_user(user, "dvm", "console", "mine", "--read-only", "--until", "tiny>", "--timeout", "120")
        session = json.loads(as_user(user, "dvm", "debug", "mine", "--json").stdout)["session"]
        assert as_user(user, "dvm", "ssh", session, "--", "id", "-u").stdout.strip() == "0"
        as_user(user, "dvm", "session", "end", session)
        as_user(user, "virsh", "-q", "destroy", "mine")
        as_user(user, "virsh", "-q", "undefine", "mine")
    finally:
        as_user(user, "dvm", "down", "--state", state, check=False)
    assert not [p for p in (state / "run").rglob("*") if p.is_socket()]
