"""Putting a deliberate fault into the code, and taking it out again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Mutant = Callable[["Surgery"], None]


class OutdatedMutant(Exception):
    """A mutant replaces something that the code no longer has."""


class Surgery:
    """Replaces attributes of classes and modules until it is undone."""

    def __init__(self) -> None:
        self._replaced: list[tuple[Any, str, Any]] = []
        self._added: list[tuple[Any, str]] = []

    def replace(self, owner: Any, name: str, new: Any) -> None:
        """Give ``owner`` another ``name``. Raises `OutdatedMutant` when there is none."""
        if name not in vars(owner):
            raise OutdatedMutant(f"{owner.__name__} has no {name} any more: the mutant must follow the code")
        self._replaced.append((owner, name, vars(owner)[name]))
        setattr(owner, name, new)

    def add(self, owner: Any, name: str, new: Any) -> None:
        """Give ``owner`` a ``name`` that it did not have."""
        self._added.append((owner, name))
        setattr(owner, name, new)

    def wrap(self, owner: Any, name: str, wrapper: Callable[[Any], Any]) -> None:
        """Give ``owner`` what ``wrapper`` makes of its ``name``."""
        if name not in vars(owner):
            raise OutdatedMutant(f"{owner.__name__} has no {name} any more: the mutant must follow the code")
        self.replace(owner, name, wrapper(vars(owner)[name]))

    def wrap_field(self, owner: type, name: str, wrapper: Callable[[Any], Any]) -> None:
        """Give each new instance of ``owner`` what ``wrapper`` makes of its field ``name``."""

        def with_field(init: Any) -> Any:
            def initialise(self: Any, *args: Any, **kwargs: Any) -> None:
                init(self, *args, **kwargs)
                if name not in vars(self):
                    raise OutdatedMutant(f"{owner.__name__} has no {name} any more: the mutant must follow the code")
                setattr(self, name, wrapper(vars(self)[name]))

            return initialise

        self.wrap(owner, "__init__", with_field)

    def undo(self) -> None:
        while self._replaced:
            setattr(*self._replaced.pop())
        while self._added:
            delattr(*self._added.pop())


@contextmanager
def operated(mutant: Mutant) -> Iterator[None]:
    """The code with ``mutant`` in it."""
    surgery = Surgery()
    try:
        mutant(surgery)
        yield
    finally:
        surgery.undo()


class Instead:
    """``target`` with some of its methods replaced."""

    def __init__(self, target: Any, **methods: Callable[..., Any]) -> None:
        self._target = target
        self._methods = methods

    def __getattr__(self, name: str) -> Any:
        return self._methods.get(name) or getattr(self._target, name)
