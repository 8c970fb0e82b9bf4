"""Reading a configuration file for a start, or its last good copy where it is broken."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from janitoo_actors.configuration.ini import ConfigurationFileError, parse
from janitoo_actors.configuration.last_good import GoodCopy, good_copies
from janitoo_actors.configuration.loader import load, load_ini
from janitoo_actors.configuration.model import Problem, ServerConfig
from janitoo_actors.configuration.registry import Registry


def load_or_fall_back(path: Path, registry: Registry, *, fall_back: bool) -> ServerConfig:
    """Load a configuration file for a start; where it is broken, its last good copy, if that is wanted.

    Blocks as `load` does; any thread.

    Args:
        fall_back: whether to take the copy. Otherwise the error says that there is one.

    Raises:
        ConfigurationFileError: the file is broken, and there is no copy to take, or it is not wanted.
    """
    try:
        config = load(path, registry)
    except ConfigurationFileError as error:
        broken = error.problems
    else:
        if not config.is_idle:
            return config
        told = sorted((*config.problems, *config.warnings), key=lambda problem: problem.line or 0)
        # The warnings too: a bus whose name is misspelt is a section that nothing reads.
        expected = f"there is no bus to start{': see the errors above' if told else ''}"
        broken = (*told, Problem(path, None, None, None, expected))
    copies = good_copies(path)
    if not fall_back:
        if copies:
            hint = (
                f"there is a good copy of {copies[0].date}, {copies[0].path}: mend the file, or start the server with "
                "the copy by the option --last-good"
            )
            broken = (*broken, Problem(path, None, None, None, hint))
        raise ConfigurationFileError(broken)
    for copy in copies:
        try:
            # By the name of the file: what it says of other files starts at the same folder.
            config = load_ini(parse(copy.path.read_bytes(), path), registry)
        except OSError as error:
            unread = Problem(copy.path, None, None, None, f"this copy cannot be read: {error.strerror or error}")
            broken = (*broken, unread)
        except ConfigurationFileError as error:
            broken = (*broken, *_of_copy(error.problems, copy))
        else:
            if not config.is_idle:
                problems, warnings = _of_copy(config.problems, copy), _of_copy(config.warnings, copy)
                return replace(config, problems=problems, warnings=warnings, copy=copy, broken=broken)
            broken = (*broken, *_of_copy(config.problems, copy))
    hint = "there is no good copy of it to start with: a server that runs keeps one; mend the file"
    raise ConfigurationFileError((*broken, Problem(path, None, None, None, hint)))


def _of_copy(problems: tuple[Problem, ...], copy: GoodCopy) -> tuple[Problem, ...]:
    """The problems of a copy, which was read by the name of the file."""
    return tuple(replace(problem, file=copy.path) for problem in problems)
