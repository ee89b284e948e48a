"""What stands beside the hosts: the way to Debian's mirror, the archive host, and the way in for ssh."""

from __future__ import annotations

import os
import shutil
import subprocess

from tests.lab.names import CONTROL, MIRROR, SHELF_PORT, Place
from tests.lab.needs import SSHD

OUTSIDE = "HELIOGRAPH_LAB_OUTSIDE"
"""Number of the open file that is the network namespace of the machine."""
SETTINGS = """
HostKey {place.folder}/host_key
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
PrintMotd no
PrintLastLog no
MaxStartups 200
# what this machine's root has in his .bashrc is not for whoever logs in
SetEnv HOME={place.shelf}
"""
SHELF = """
ListenAddress {control}:{port}
AuthorizedKeysFile {place.shelf}/authorized_keys
AuthorizedKeysCommand /usr/bin/find {place.shelf}/nodes -name *.pub -exec cat {{}} ;
AuthorizedKeysCommandUser root
"""
WAY_IN = "AuthorizedKeysFile {place.folder}/key.pub\n"


def prepare(place: Place) -> None:
    """Keys and settings, once for each lab."""
    for name in ("host_key", "key"):
        made = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(place.folder / name)]
        subprocess.run(made, check=True, stdin=subprocess.DEVNULL)
    (place.shelf / "store").mkdir(parents=True)
    (place.shelf / "authorized_keys").write_text(place.key.with_suffix(".pub").read_text())
    for name, more in (("shelf", SHELF), ("door", WAY_IN)):
        text = (SETTINGS + more).format(place=place, control=CONTROL, port=SHELF_PORT)
        (place.folder / f"sshd_{name}").write_text(text)


def open_all(place: Place) -> list[subprocess.Popen[bytes]]:
    return [subprocess.Popen(command, pass_fds=fds, stdin=subprocess.DEVNULL) for command, fds in _commands(place)]


def _commands(place: Place) -> list[tuple[list[str], tuple[int, ...]]]:
    outside = int(os.environ[OUTSIDE])
    socat = shutil.which("socat") or "socat"
    mirror = place.folder / "mirror.sock"
    door = f"EXEC:{SSHD} -i -e -f {place.folder}/sshd_door"
    return [
        ([SSHD, "-D", "-e", "-f", str(place.folder / "sshd_shelf")], ()),
        ([socat, f"UNIX-LISTEN:{place.door},fork,mode=600,unlink-early", door], ()),
        ([socat, f"TCP-LISTEN:80,bind={CONTROL},fork,reuseaddr", f"UNIX-CONNECT:{mirror}"], ()),
        (
            [
                "nsenter",
                f"--net=/proc/self/fd/{outside}",
                socat,
                f"UNIX-LISTEN:{mirror},fork,mode=600",
                f"TCP:{MIRROR}:80",
            ],
            (outside,),
        ),
    ]
