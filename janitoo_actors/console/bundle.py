"""`dump FILE`: all that helps whoever is asked for help, in one zip file, without passwords."""

from __future__ import annotations

import json
import os
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from janitoo_actors.control.client import NotServedError
from janitoo_actors.errors import ConfigurationError, said

_PARTS: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "about.json": ("ping", {}),
    "machine.json": ("machine", {}),
    "health.json": ("health", {}),
    "tree.json": ("tree", {}),
    "values.json": ("values", {}),
    "errors.json": ("errors", {"limit": 2000}),
    "log.json": ("events", {"limit": 2000}),
    "mqtt.json": ("mqtt", {}),
    "network.json": ("network", {}),
    "threads.json": ("threads", {}),
    "config.json": ("config", {}),
    "config_check.json": ("check", {}),
    "config_diff.json": ("diff", {}),
}
_MOST_PAGES: Final = 200

Ask = Callable[..., Mapping[str, Any]]


def write_bundle(file: Path, ask: Ask, *, force: bool = False) -> list[str]:
    """Write the bundle; what is in it. A part that cannot be had is there with the reason.

    Args:
        ask: asks the server.
        force: write it where there is a file of that name already.

    Raises:
        ConfigurationError: the file is there already, or cannot be written; nothing is left behind then.
    """
    if not force and os.path.lexists(file):
        # Said before the server is asked; what comes meanwhile is looked for again at the end.
        raise _there_already(file)
    parts: dict[str, Any] = {}
    for name, (request, data) in _PARTS.items():
        parts[name] = _asked(ask, request, data)
    for path in _interesting(parts["tree.json"]):
        name = path.strip("/").replace("/", "-") or "root"
        parts[f"status/{name}.json"] = _asked(ask, "status", {"path": path})
    parts["made.json"] = {"time": time.time(), "by_uid": os.geteuid()}
    # Beside it first: half a bundle is worse than none.
    begun = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        # What is in a log is for its owner to show.
        descriptor = os.open(begun, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            _write(descriptor, parts)
            if not force and os.path.lexists(file):
                raise _there_already(file)
            os.replace(begun, file)
        finally:
            # Whatever ends it, Ctrl+C too.
            begun.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be written: {said(error)}") from error
    return list(parts)


def _write(descriptor: int, parts: Mapping[str, Any]) -> None:
    with os.fdopen(descriptor, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, part in parts.items():
            # Pure ASCII: what comes from a file's name need not be a text.
            bundle.writestr(name, json.dumps(part, indent=1))


def _there_already(file: Path) -> ConfigurationError:
    return ConfigurationError(f"{file}: there is a file of this name already: choose another one, or use --force")


def _asked(ask: Ask, request: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        return ask(request, **data)
    except NotServedError as error:
        return {"error": str(error), "details": list(error.details)}


def _interesting(tree: Mapping[str, Any]) -> list[str]:
    """The buses, and all that is not well: not each of ten thousand pollers."""
    found = []
    for each in tree.get("actors", ()):
        is_bus = each["path"].count("/") <= 2 and each["path"].startswith("/buses/")  # noqa: PLR2004 - /buses/attic
        if is_bus or each["state"] != "running" or each["error"] is not None or each["mailbox"] > 0:
            found.append(each["path"])
    return found[:_MOST_PAGES]
