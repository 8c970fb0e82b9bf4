"""Values whose instances follow those of another value."""

from __future__ import annotations

import pytest

from janitoo_actors.api import Component, Instances, ManualRuntime, OptionsError, Value


def path(text: str) -> str:
    if not text.startswith("/"):
        raise ValueError("expected an absolute path")
    return text


def short_path(text: str) -> str:
    if len(text) > 6:
        raise ValueError("expected a short path")
    return path(text)


class Disk(Component):
    oid = "test.disk"
    total = Value("sensor_memory", help="…", instances=Instances("path", "…", defaults=("/",), parse=path))
    used = Value(
        "sensor_memory",
        help="…",
        instances=Instances("path", "…", defaults=("/",), parse=path, follows="total"),
    )
    free = Value(
        "sensor_memory",
        help="…",
        instances=Instances("path", "…", defaults=("/",), parse=short_path, follows="total"),
    )


def configs(disk: Disk) -> dict[str, list[str]]:
    return {uuid: [it.config for it in disk.instances(uuid)] for uuid in disk.values}


def test_a_value_without_instances_of_its_own_follows() -> None:
    disk = Disk(options={"total_config_0": "/a", "total_config_1": "/b", "free_config_0": "/c"})
    assert configs(disk) == {"total": ["/a", "/b"], "used": ["/a", "/b"], "free": ["/c"]}


def test_one_wrong_option_is_one_problem() -> None:
    with pytest.raises(OptionsError) as raised:
        Disk(options={"total_config_0": "a"})
    assert [(it.key, it.expected) for it in raised.value.problems] == [("total_config_0", "an absolute path")]
    assert Disk.check_options({"total_config_0": "a"}) == raised.value.problems


def test_what_only_a_follower_refuses_is_a_problem_too() -> None:
    problems = Disk.check_options({"total_config_0": "/a/long/path"})
    assert [(it.key, it.expected) for it in problems] == [("total_config_0", "a short path")]


def test_a_follower_changes_with_the_value_that_it_follows() -> None:
    disk = Disk(options={"total_config_0": "/a", "total_config_1": "/b", "free_config_0": "/c"})
    disk.change_instance("total", "/d", index=1)
    assert configs(disk) == {"total": ["/a", "/d"], "used": ["/a", "/d"], "free": ["/c"]}


def test_a_follower_with_a_configuration_of_its_own_follows_no_more() -> None:
    disk = Disk()
    disk.change_instance("used", "/own")
    disk.change_instance("total", "/new")
    assert configs(disk) == {"total": ["/new"], "used": ["/own"], "free": ["/new"]}


def test_a_change_that_a_follower_refuses_changes_nothing() -> None:
    disk = Disk()
    with pytest.raises(ValueError, match=r"^expected a short path$"):
        disk.change_instance("total", "/a/long/path")
    assert configs(disk) == {"total": ["/"], "used": ["/"], "free": ["/"]}


def test_instances_that_are_found_are_kept_in_the_file() -> None:
    disk = Disk("disks__x")
    disk.keep_instances("total", ["/a"])
    disk.runtime = runtime = ManualRuntime()
    disk.keep_instances("total", ["/a", "/b"])
    assert runtime.kept == {"disks__x": {"total_config_0": "/a", "total_config_1": "/b"}}
    # In force when the bus has been restarted.
    assert configs(disk)["total"] == ["/"]
    runtime.kept.clear()
    with pytest.raises(ValueError, match="expected an absolute path"):
        disk.keep_instances("total", ["/a", "b"])
    with pytest.raises(LookupError):
        disk.keep_instances("other", [])
    assert runtime.kept == {}
