# SPDX-License-Identifier: Apache-2.0
"""The actors of a bulk job on a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ._bulk_store import Unit
from ._errors import Error, FileError, OptionError


class Pool:
    """Actors of a Ray cluster that make units. One gets a unit when it has a place and its model, and
    never before: where a node is lost for good, nothing waits for its actors to come back. The unit of
    an actor that is lost goes to another one."""

    MOST_LOST = 5
    """Actors that one unit may end, as one for which there is no memory does."""

    def __init__(
        self,
        kind: type,
        options: dict[str, Any],
        concurrency: int,
        cpus: int,
        address: str | None,
    ) -> None:
        try:
            import ray
        except ImportError:
            raise OptionError(
                "ray: not installed; expected pip install 'fathom-rwkv[ray]', or --no-ray"
            ) from None
        if not ray.is_initialized():
            ray.init(address=address, logging_level="warning", log_to_driver=False)
        most = max((n["Resources"].get("CPU", 0) for n in ray.nodes() if n["Alive"]), default=0)
        if address is None and cpus > most:
            raise OptionError(f"num_cpus: expected at most {most:.0f}, as this machine has, got {cpus}")
        self.ray = ray
        self.kind = ray.remote(num_cpus=cpus, max_restarts=0)(kind)
        self.options, self.concurrency, self.n_lost_before_work = options, concurrency, 0
        self.actors: dict[Any, Any] = {}  # what is waited for -> its actor
        self.at_work: dict[Any, Unit] = {}  # what is waited for -> the unit; none: to be open

    def make(self, units: Sequence[Unit]) -> Iterator[dict[str, Any]]:
        """Records of all units, as they are done."""
        waiting, lost = list(reversed(units)), dict.fromkeys(units, 0)
        try:
            while waiting or self.at_work:
                while len(self.actors) < min(self.concurrency, len(waiting) + len(self.at_work)):
                    actor = self.kind.remote(**self.options)
                    self.actors[actor.is_open.remote()] = actor
                [ready], _ = self.ray.wait(list(self.actors), num_returns=1)
                actor, unit = self.actors.pop(ready), self.at_work.pop(ready, None)
                try:
                    record = self._get(ready)
                except self.ray.exceptions.RayError:
                    if unit is None:
                        self._lost_before_work()
                    else:
                        lost[unit] += 1
                        if lost[unit] == self.MOST_LOST:
                            raise FileError(
                                f"{unit.file} from {unit.begin} on: {self.MOST_LOST} actors were lost while "
                                "they made it; expected enough memory for --rows-per-file"
                            ) from None
                        waiting.append(unit)
                    continue
                if unit is not None:
                    yield record
                if waiting:
                    unit = waiting.pop()
                    task = actor.make.remote(unit)
                    self.actors[task], self.at_work[task] = actor, unit
                else:
                    self.ray.kill(actor)
        finally:
            for actor in self.actors.values():
                self.ray.kill(actor)

    def _get(self, task: Any) -> Any:
        """A result. Raises Fathom's errors as they were, RayError where the actor is lost."""
        try:
            return self.ray.get(task)
        except self.ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, Error):
                raise type(error.cause)(str(error.cause)) from None
            raise RuntimeError(str(error)) from None  # a fault of ours

    def _lost_before_work(self) -> None:
        self.n_lost_before_work += 1
        if self.n_lost_before_work == self.MOST_LOST * self.concurrency:
            raise FileError(
                f"{self.options['embed']['model']}: {self.n_lost_before_work} actors were lost while they "
                "opened it; expected fathom and the model on every node, and enough memory"
            )
