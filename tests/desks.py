"""One data directory as commands find it: behind a running API, or held by nobody."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from node.cli import main
from node.clock import SystemClock
from node.domain.errors import HeliographError
from node.domain.job import Lane
from node.domain.nodefile import NodeFile
from node.jobs import Jobs
from node.settings import load_node_file
from node.store.files import hold
from node.workers import LOCKS, Start, working
from tests.apis import Served
from tests.stores import Store


@dataclass
class Place:
    """`nas` is the folder of the target of that name, on another disk; the target `usb` lies on the frames' own.

    `way` is how commands reach it: the options that name a token, or none.
    """

    api: Served
    folder: Path
    nas: Path
    way: list[str]
    capsys: pytest.CaptureFixture[str]

    @property
    def store(self) -> Store:
        return self.api.store

    @property
    def jobs(self) -> Jobs:
        return self.api.doer.jobs

    @property
    def by_service(self) -> bool:
        return bool(self.way)

    def catch_up(self) -> None:
        """The service's clock, an hour behind at first, shows what the workers' does."""
        self.api.clock.step((SystemClock().now_us() - self.api.clock.now_us()) / 1e6)

    @property
    def settings(self) -> NodeFile:
        return load_node_file(self.folder / "node.yml", {}).node_file

    @contextmanager
    def crew(self, lane: Lane) -> Iterator[None]:
        """Somebody does the jobs of that lane, where a command does not do them itself."""
        lock = LOCKS[lane]
        with hold(self.store.folder, lock) as held, working(Start(self.settings, (lane,)), held, SystemClock()):
            yield

    @contextmanager
    def helped(self, lane: Lane) -> Iterator[None]:
        """As `crew`, beside a service only: without one, commands do their jobs."""
        if not self.by_service:
            yield
            return
        with self.crew(lane):
            yield

    def ends(self, *arguments: object) -> tuple[int, str, str]:
        """A command in this process: exit status, output, errors."""
        words = [str(each) for each in arguments]
        status = main([words[0], "--config", str(self.folder / "node.yml"), *self.way, *words[1:]])
        said = self.capsys.readouterr()
        return status, said.out, said.err

    def says(self, *arguments: object) -> Any:
        """The JSON of a command that ends well."""
        status, out, err = self.ends(*arguments, "--json")
        assert status == 0, err
        return json.loads(out)

    def fails(self, error: type[HeliographError], *arguments: object) -> str:
        """It ends with that error: nothing on standard output; its line, its fields, and a hint."""
        status, out, err = self.ends(*arguments)
        assert (status, out) == (error.exit, ""), err
        assert sum(line.startswith(f"{error.code} {error.title}") for line in err.splitlines()) == 1, err
        assert err.splitlines()[-1] == f"  hint: {error.hint}"
        return err
