"""`make lab`: hosts that boot, on this machine; up, down, status, run, root, wheels."""

from __future__ import annotations

import argparse
import os
import sys

from tests.lab import needs, papers, roots
from tests.lab.lab import Lab
from tests.lab.names import MACHINES, PYTHONS, ROOT, Place, Refused

REFUSED = 69
TOLD = """
inventory   -i {inventory}
state       {folder}
first       python -m tests.lab run -- ansible-playbook -i {inventory} playbooks/site.yml -e archive_init=true
then        python -m tests.lab run -- heliograph console -i {inventory}
ssh         ssh -F {folder}/ssh_config -J control alpha
control     ssh -F {folder}/ssh_config control
end         python -m tests.lab down
"""


def main() -> int:
    given = _parser().parse_args()
    try:
        return int(COMMANDS[given.command](Lab(Place.given()), given) or 0)
    except Refused as fault:
        print(f"lab: {fault}", file=sys.stderr)
        return REFUSED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description="hosts that boot, on this machine")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="bring hosts up and keep them: alpha, bravo and charlie unless named")
    up.add_argument("hosts", nargs="*", metavar="HOST")
    commands.add_parser("down", help="end the lab; only the cache stays")
    commands.add_parser("status", help="which hosts run")
    run = commands.add_parser("run", help="run a command on the control host: in the lab's network")
    run.add_argument("words", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    root = commands.add_parser("root", help="build the root of a suite where it is missing; print its folder")
    root.add_argument("suite", choices=sorted(PYTHONS))
    wheels = commands.add_parser("wheels", help="fetch and build the wheels of a suite; print their folder")
    wheels.add_argument("suite", choices=sorted(PYTHONS))
    return parser


def _up(lab: Lab, given: argparse.Namespace) -> None:
    lab.up(*given.hosts)
    papers.make(lab.place)
    _status(lab, given)
    inventory = "inventory/lab" if lab.place.usual else lab.place.inventory
    print(TOLD.format(folder=lab.place.folder, inventory=inventory))


def _down(lab: Lab, _given: argparse.Namespace) -> None:
    lab.down()


def _status(lab: Lab, _given: argparse.Namespace) -> None:
    for name, state in lab.state().items():
        machine = MACHINES[name]
        word = "running" if state["running"] else "off" if state["known"] else "never up"
        print(f"{name:8} {machine.address:12} {machine.suite:9} {word:9} boots {state['boots']}")


def _run(lab: Lab, given: argparse.Namespace) -> None:
    words = given.words[1:] if given.words[:1] == ["--"] else given.words
    if not words:
        raise Refused("run -- COMMAND: which command?")
    needs.check()
    os.execvpe("unshare", lab.inside(words), lab.environment)


def _root(lab: Lab, given: argparse.Namespace) -> None:
    needs.check()
    print(roots.ready({given.suite}, lab.place.cache)[given.suite])


def _wheels(lab: Lab, given: argparse.Namespace) -> None:
    print(lab.wheels(given.suite))


COMMANDS = {"up": _up, "down": _down, "status": _status, "run": _run, "root": _root, "wheels": _wheels}

if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
