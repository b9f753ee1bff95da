# SPDX-License-Identifier: Apache-2.0
"""The display of a running VM: a firmware that waits for a key in its boot menu, behind a VNC password that nobody is asked for."""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile

import browser
import dvmtest
import pytest
import rfb
import targets
from openapi_check import DvmClient

NAME = "screen-1"
XML = f"""
<domain type='qemu'><name>{NAME}</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type><bootmenu enable='yes' timeout='60000'/></os>
<devices><serial type='pty'/><graphics type='vnc' port='-1' autoport='yes' passwd='secret'/>
<video><model type='vga'/></video><memballoon model='none'/></devices></domain>
"""


@pytest.fixture(scope="module")
def screen(cloud):
    """Off; what a test switches on it switches off."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="dvm-screen-", dir="/tmp"))
    (folder / "domain.xml").write_text(XML)
    targets.virsh("define", folder / "domain.xml")
    cloud.dvm("vm", "adopt", NAME)
    yield NAME
    targets.virsh("destroy", NAME, check=False)
    targets.virsh("undefine", NAME)
    cloud.dvm("vm", "release", NAME)
    shutil.rmtree(folder)


# Pixels that are not black, give or take a cursor that blinks: when the firmware has asked for a key, and what its menu adds.
ASKED, MENU = 2500, 500


def lit(viewer):
    picture = viewer.picture()
    return sum(1 for i in range(0, len(picture), 4) if picture[i : i + 3] != b"\0\0\0")


@pytest.fixture
def menu(cloud, screen):
    """Started anew, and its firmware asks for a key."""
    cloud.dvm("power", "off", screen)
    cloud.dvm("power", "on", screen)
    run = targets.virsh("domid", screen).strip()
    with vnc(cloud, "--read-only") as port:
        viewer = rfb.connect("127.0.0.1", port)
        dvmtest.wait_for(lambda: lit(viewer) > ASKED, "the firmware to ask for a key", step=0.1)
    yield screen
    assert targets.virsh("domid", screen).strip() in (run, "-"), "it was not restarted for this"


@contextlib.contextmanager
def vnc(cloud, *args):
    """`dvm vnc`: yields its port."""
    process = cloud.popen("vnc", NAME, "--print", *args, stdout=subprocess.PIPE, text=True)
    try:
        yield int(process.stdout.readline().rsplit(":", 1)[1])
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_keys_and_the_right_to_press_them(cloud, menu):
    """Esc opens the menu: with `dvm keys`, with a viewer that may type; not with one that only watches."""
    with vnc(cloud) as port, vnc(cloud, "--read-only") as watching_port:
        first, watching = rfb.connect("127.0.0.1", port), rfb.connect("127.0.0.1", watching_port)
        assert first.name == watching.name == cloud.json("vm", "show", NAME)["id"]
        assert (first.width, first.height) == (watching.width, watching.height)
        asked = lit(first)
        watching.key(0xFF1B)
        watching.pointer(10, 10, 1)
        assert lit(watching) < asked + MENU and lit(first) < asked + MENU
        first.key(0xFF1B)
        for viewer in (first, watching):
            dvmtest.wait_for(lambda v=viewer: lit(v) > asked + MENU, "the menu", step=0.1)


def test_screenshot_and_chords(cloud, menu, tmp_path):
    file = tmp_path / "screen.png"
    shot = cloud.json("screenshot", NAME, file)
    assert shot["width"] >= 640 and shot["height"] >= 350 and shot["size_bytes"] == file.stat().st_size
    assert file.read_bytes().startswith(b"\x89PNG") and b"QEMU" not in file.read_bytes()
    with vnc(cloud, "--read-only") as port:
        viewer = rfb.connect("127.0.0.1", port)
        asked = lit(viewer)
        cloud.dvm("keys", NAME, "esc")
        dvmtest.wait_for(lambda: lit(viewer) > asked + MENU, "the menu", step=0.1)
        cloud.dvm("keys", NAME, "ctrl-alt-del")
        dvmtest.wait_for(lambda: lit(viewer) < asked + MENU, "the firmware to start again", step=0.1)


def test_a_viewer_that_is_not_ours(cloud, menu, tmp_path):
    with vnc(cloud, "--read-only") as port:
        dvmtest.run("vncsnapshot", "-quiet", "-compresslevel", "0", "-quality", "100", f"127.0.0.1::{port}", tmp_path / "s.jpg")
    picture = (tmp_path / "s.jpg").read_bytes()
    assert picture.startswith(b"\xff\xd8\xff") and len(picture) > 2000, "blank is smaller"


def test_a_vm_without_a_display(cloud, tiny):
    tiny.on()
    for command in (["vnc", tiny.name, "--print"], ["screenshot", tiny.name, os.devnull]):
        result = cloud.dvm(*command, check=False)
        assert result.returncode == 5 and "display" in result.stderr, command


def test_in_the_d_vm(cloud, menu, tmp_path):
    """localhost:5900 in the D-VM, from outside through `ssh -L` and from inside."""
    session = cloud.json("debug", NAME)["session"]
    try:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        config = tmp_path / "config"
        config.write_text(cloud.dvm("ssh-config").stdout)
        ssh = subprocess.Popen(
            ["ssh", "-F", config, "-N", "-L", f"127.0.0.1:{port}:localhost:5900", f"root@{session}.dvm"], env=cloud.env)
        try:
            viewer = dvmtest.wait_for(lambda: through(port), "the forwarded port", step=0.2)
            assert viewer.name == cloud.json("vm", "show", NAME)["id"]
            asked = lit(viewer)
            assert asked > ASKED
            second = rfb.connect("127.0.0.1", port)
            viewer.key(0xFF1B)
            for each in (viewer, second):
                dvmtest.wait_for(lambda v=each: lit(v) > asked + MENU, "the menu", step=0.1)
        finally:
            ssh.terminate()
            ssh.wait(30)
        # a program of the D-VM's own, without a viewer's words: it is greeted, and no other port is there
        bash = "exec 3<>/dev/tcp/localhost/%d && head -c 12 <&3"
        assert cloud.dvm("ssh", session, "--", "bash", "-c", f"'{bash % 5900}'").stdout == "RFB 003.008\n"
        assert cloud.dvm("ssh", session, "--", "bash", "-c", f"'{bash % 5901}'", check=False).returncode != 0
        # off: closed at once; on: there again
        cloud.dvm("power", "off", NAME)
        assert cloud.dvm("ssh", session, "--", "bash", "-c", f"'{bash % 5900}'").stdout == ""
    finally:
        cloud.dvm("session", "end", session)


def through(port):
    with contextlib.suppress(OSError, EOFError):
        return rfb.connect("127.0.0.1", port)


NOVNC = """
<!DOCTYPE html><title>starting</title><div id="screen" style="width: 800px; height: 600px"></div>
<script type="module">
import RFB from './novnc/core/rfb.js';
const rfb = window.rfb = new RFB(document.getElementById('screen'), '%s');
rfb.addEventListener('connect', () => { document.title = 'connected'; });
rfb.addEventListener('disconnect', e => { document.title = 'ended ' + e.detail.clean; });
rfb.addEventListener('desktopname', e => { window.desktop = e.detail.name; });
</script>
"""
CANVAS = """
const canvas = document.querySelector('#screen canvas');
const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
let lit = 0;
for (let i = 0; i < pixels.length; i += 4) {
    lit += pixels[i] || pixels[i + 1] || pixels[i + 2] ? 1 : 0;
}
return lit;
"""


def test_novnc_in_a_browser(cloud, menu):
    """Debian's noVNC in chromium, straight to the gate with a raw ticket: once only watching, once typing."""
    api = DvmClient(cloud.env["DVM_URL"], token=cloud.env["DVM_TOKEN"], pin=cloud.env["DVM_PIN"])
    with browser.Browser() as page:
        (page.folder / "www/novnc").symlink_to("/usr/share/novnc")
        for mode in ("r", "rw"):
            ticket = api.ok("POST", f"/v1/vms/{NAME}/streams", {"kind": "vnc", "mode": mode, "raw": True})
            url = cloud.env["DVM_URL"].replace("https:", "wss:") + ticket["url"]
            page.page(f"{mode}.html", NOVNC % url)
            dvmtest.wait_for(lambda: page.run("return document.title") != "starting", "noVNC", step=0.1)
            assert page.run("return document.title") == "connected"
            assert page.run("return window.desktop") == cloud.json("vm", "show", NAME)["id"]
            dvmtest.wait_for(lambda: page.run(CANVAS) > ASKED, "a picture", step=0.1)
            asked = page.run(CANVAS)
            page.run("rfb.sendKey(0xff1b, 'Escape');")
            if mode == "rw":
                dvmtest.wait_for(lambda: page.run(CANVAS) > asked + MENU, "the menu", step=0.1)
            else:
                cloud.dvm("screenshot", NAME, os.devnull)
                assert page.run(CANVAS) < asked + MENU
        # the ticket is used up
        page.page("again.html", NOVNC % url)
        dvmtest.wait_for(lambda: page.run("return document.title") != "starting", "noVNC", step=0.1)
        assert page.run("return document.title") == "ended false"
