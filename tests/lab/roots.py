"""File systems of fresh hosts, built once a week for each suite: Debian as Raspberry Pi OS Lite leaves it."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.lab.locks import locked
from tests.lab.names import MIRROR, Refused

INCLUDED = (
    "ca-certificates", "cron", "curl", "dbus", "iproute2", "kmod", "libpam-systemd", "locales", "logrotate",
    "nftables", "openssh-server", "openssl", "passwd", "procps", "python3", "python3-apt", "python3-venv", "rsync",
    "sudo", "systemd", "systemd-sysv", "systemd-timesyncd", "unattended-upgrades",
)  # fmt: skip
SOURCES = (
    "deb http://{mirror}/debian {suite} main",
    "deb http://{mirror}/debian {suite}-updates main",
    "deb http://{mirror}/debian-security {suite}-security main",
)
PREPARED = """
set -eu
for group in spi i2c gpio netdev input render; do getent group $group >/dev/null || groupadd --system $group; done
useradd --create-home --uid 1000 --shell /bin/bash \
  --groups adm,dialout,cdrom,sudo,audio,video,plugdev,games,users,input,render,netdev,spi,i2c,gpio pi
echo pi:raspberry | chpasswd
echo 'pi ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/010_pi-nopasswd
chmod 440 /etc/sudoers.d/010_pi-nopasswd
: >/etc/machine-id
rm -f /etc/ssh/ssh_host_* /var/lib/dbus/machine-id /etc/hostname /etc/resolv.conf
: >/etc/resolv.conf
cat >/etc/systemd/system/regenerate_ssh_host_keys.service <<'UNIT'
[Unit]
Description=Regenerate SSH host keys
Before=ssh.service
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key

[Service]
Type=oneshot
ExecStart=/usr/bin/ssh-keygen -A

[Install]
WantedBy=multi-user.target
UNIT
mkdir -p /boot/firmware /var/log/journal
cat >/boot/firmware/config.txt <<'TEXT'
# For more options and information see
# http://rptl.io/configtxt
dtparam=audio=on
camera_auto_detect=1
display_auto_detect=1
auto_initramfs=1
dtoverlay=vc4-kms-v3d
max_framebuffers=2
disable_fw_kms_setup=1
arm_64bit=1
disable_overscan=1
arm_boost=1

[cm4]
otg_mode=1

[all]
TEXT
echo 'console=serial0,115200 console=tty1 root=PARTUUID=4f3c21ab-02 rootfstype=ext4 fsck.repair=yes rootwait' \
  >/boot/firmware/cmdline.txt
systemctl enable regenerate_ssh_host_keys ssh systemd-networkd
systemctl mask console-getty.service getty.target systemd-networkd-wait-online.service
"""


def ready(suites: set[str], cache: Path) -> dict[str, Path]:
    """The root of each suite, built where this week's is missing."""
    (cache / "roots").mkdir(parents=True, exist_ok=True)
    with locked(cache / "roots.lock"), ThreadPoolExecutor() as pool:
        return dict(zip(sorted(suites), pool.map(lambda suite: _ready(suite, cache), sorted(suites)), strict=True))


def name_of(suite: str, day: time.struct_time) -> str:
    """By what goes into it, and the week: old packages are of no use."""
    digest = hashlib.sha256("\n".join((*INCLUDED, *SOURCES, PREPARED)).encode()).hexdigest()[:10]
    return f"{suite}-{time.strftime('%Gw%V', day)}-{digest}"


def _ready(suite: str, cache: Path) -> Path:
    root = cache / "roots" / name_of(suite, time.gmtime())
    if not root.exists():
        _build(suite, root)
        _forget(suite, root)
    return root


def _build(suite: str, root: Path) -> None:
    """Under its name only when it is whole."""
    with tempfile.TemporaryDirectory(prefix=".building-", dir=root.parent) as folder:
        made = Path(folder) / "root"
        done = subprocess.run(_command(suite, made), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Refused(f"mmdebstrap {suite} failed: {done.stderr.strip().splitlines()[-1]}")
        made.rename(root)


def _command(suite: str, made: Path) -> list[str]:
    sources = [line.format(mirror=MIRROR, suite=suite) for line in SOURCES]
    options = ["--variant=minbase", f"--include={','.join(INCLUDED)}", f"--chrooted-customize-hook={PREPARED}"]
    return ["mmdebstrap", "--mode=root", "--format=directory", *options, suite, str(made), *sources]


def _forget(suite: str, kept: Path) -> None:
    """Those of other weeks that no lab can be using any more: two are kept."""
    old = [path for path in kept.parent.glob(f"{suite}-*") if path != kept]
    for path in sorted(old, key=lambda path: path.stat().st_mtime)[:-2]:
        shutil.rmtree(path)
