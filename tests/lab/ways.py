"""The ways to a lab's hosts, for ssh."""

from __future__ import annotations

from tests.lab.names import MACHINES, Place

SSH = """Host *
  IdentityFile {place.key}
  IdentitiesOnly yes
  UserKnownHostsFile {place.known_hosts} {place.folder}/pki/known_hosts
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  BatchMode yes
  ConnectTimeout 10
  ServerAliveInterval 5
  ServerAliveCountMax 3
  LogLevel ERROR

# the control host, from this machine: ssh -F {place.ssh_config} -J control alpha
Host control
  User root
  HostKeyAlias control
  UserKnownHostsFile {place.folder}/known_hosts
  ProxyCommand socat - UNIX-CONNECT:{place.door}
"""
HOST = """
Host {machine.name} {machine.address}
  HostName {machine.address}
  HostKeyAlias {machine.name}
  User pi
"""


def ssh_config(place: Place) -> str:
    return SSH.format(place=place) + "".join(HOST.format(machine=machine) for machine in MACHINES.values())
