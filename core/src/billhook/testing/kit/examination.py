"""One examination of one provider: what its checks share, so that each scene and each strike is played once."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pydantic import BaseModel

from billhook.clock import TurnedClock
from billhook.contract import Call, Capability
from billhook.plugins import ProviderHandle
from billhook.testing.kit.bench import BEGINS_AT, URL, Bench, Blow
from billhook.testing.kit.check import Place
from billhook.testing.kit.scenes import SCENES, UNSTAGED, Scene
from billhook.testing.kit.strikes import Played, play
from billhook.testing.kit.subject import Subject, connection_of


@dataclass
class Examination:
    """A subject under a seed. ``only_fault`` (such as ``issue/lost_response``) and ``only_step`` strike at one place alone."""

    subject: Subject
    seed: int = 0
    only_fault: str | None = None
    only_step: int | None = None
    _played: dict[str, Played] = field(default_factory=dict, init=False)
    _struck: dict[tuple[str, str, int], Played] = field(default_factory=dict, init=False)

    @cached_property
    def scenes(self) -> tuple[Scene, ...]:
        """What the provider can play."""
        return tuple(scene for scene, hindrance in self._hindrances.items() if hindrance is None)

    @cached_property
    def unstruck(self) -> Mapping[Capability, str]:
        """The operations of which no scene is played, and why."""
        played = {scene.capability for scene in self.scenes}
        hindrances = {scene.capability: hindrance for scene, hindrance in self._hindrances.items() if hindrance}
        left = (operation for operation in self.subject.remote_operations if operation not in played)
        return {operation: {**UNSTAGED, **hindrances}[operation] for operation in left}

    @cached_property
    def _hindrances(self) -> Mapping[Scene, str | None]:
        subject = self.subject
        books = subject.new_simulator(TurnedClock(BEGINS_AT), subject.currency)
        try:
            remote = [scene for scene in SCENES if scene.capability in subject.remote_operations]
            return {scene: scene.hindrance(subject, books) for scene in remote}
        finally:
            books.close()

    @cached_property
    def handle(self) -> ProviderHandle:
        """The provider behind its typed methods."""
        return ProviderHandle(self.subject.provider)

    @cached_property
    def settings(self) -> BaseModel:
        """Settings of an app. Raises ConfigError where they can't be made up."""
        if self.subject.simulator is None:
            return self.handle.settings(connection_of(self.subject, None, URL))
        with self.bench() as bench:
            settings: BaseModel = bench.settings
            return settings

    def dice(self, name: str) -> random.Random:
        """Randomness of one check: the same for the same seed."""
        return random.Random(f"{self.seed}/{name}")

    def bench(self, **changes: Any) -> Bench:
        """A fresh bench."""
        return Bench(self.subject, **{"seed": self.seed, **changes})

    def alone(self, scene: Scene) -> Played:
        """The scene with nothing going wrong."""
        if scene.name not in self._played:
            self._played[scene.name] = play(self.subject, scene, self.seed)
        return self._played[scene.name]

    def sound(self) -> Iterator[tuple[Scene, Played]]:
        """The scenes that come to a good end by themselves; what does not is told by the checks of that operation."""
        for scene in self.scenes:
            played = self.alone(scene)
            if played.is_sound:
                yield scene, played

    @cached_property
    def sends_by_itself(self) -> bool:
        """Whether an SDK of the provider's own sends something: then a story is told over a real socket, because there is no other way."""
        return any(isinstance(call.request, Call) for scene in self.scenes for call in self.alone(scene).worked.calls)

    def struck(self, scene: Scene, fault: str, blow: Blow) -> Played:
        """The scene with that blow, which ``fault`` names."""
        key = (scene.name, fault, blow.at)
        if key not in self._struck:
            self._struck[key] = play(self.subject, scene, self.seed, blow)
        return self._struck[key]

    def wants(self, place: Place) -> bool:
        """Whether to strike there."""
        return self.only_fault in {None, f"{place.scene}/{place.fault}"} and self.only_step in {None, place.step}
