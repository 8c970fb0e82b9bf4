"""Classes that are made of others for one bus: extended, or simulated."""

from __future__ import annotations

import copyreg
from collections.abc import Callable
from typing import Any


class Made(type):
    """The class of such classes. One goes to another process as what makes it, as no module there has it.

    Attributes:
        recipe: what makes it, and of what. The same again is the same class.
    """

    recipe: tuple[Callable[..., Any], tuple[Any, ...]]


def _recipe(made: Made) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    return made.recipe


copyreg.pickle(Made, _recipe)
