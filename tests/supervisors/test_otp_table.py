"""The table of the cases of OTP's supervisor_SUITE in docs/supervisors.md, held to the tests."""

from __future__ import annotations

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent
PAGE = Path(__file__).parents[2] / "docs/supervisors.md"
ENDS = ("normal", "shutdown", "abnormal")

CASES = frozenset(
    [
        "sup_start_normal",
        "sup_start_ignore_init",
        "sup_start_ignore_child",
        "sup_start_ignore_temporary_child",
        "sup_start_error_return",
        "sup_start_fail",
        "sup_start_child_returns_error",
        "sup_start_restart_child_returns_error",
        "sup_start_map",
        "sup_start_map_faulty_specs",
        "child_specs",
        "sup_flags",
        "extra_return",
        "sup_stop_infinity",
        "sup_stop_timeout",
        "sup_stop_timeout_dynamic",
        "sup_stop_brutal_kill",
        "sup_stop_brutal_kill_dynamic",
        "sup_stop_race",
        "sup_stop_non_shutdown_exit_dynamic",
        "child_adm",
        "child_adm_simple",
        "which_children",
        "which_children_simple_one_for_one",
        "count_children",
        "count_children_supervisor",
        "count_restarting_children",
        "order_of_children",
        "temporary_bystander",
        "multiple_restarts",
        "one_for_one",
        "one_for_all",
        "rest_for_one",
        "simple_one_for_one",
        "one_for_one_escalation",
        "one_for_all_escalation",
        "rest_for_one_escalation",
        "simple_one_for_one_escalation",
        "one_for_all_other_child_fails_restart",
        "rest_for_one_other_child_fails_restart",
        "simple_one_for_one_shutdown",
        "simple_one_for_one_extra",
        "simple_one_for_one_corruption",
        "simple_one_for_one_restart_ignore",
        "nonsignificant_temporary",
        "nonsignificant_transient",
        "significant_temporary",
        "significant_transient",
        "significant_simple",
        "significant_bystander",
        "significant_escalation",
        "child_unlink",
        "tree",
        "do_not_save_start_parameters",
        "do_not_save_child_specs_for_temporary_children",
        "scale_start_stop_many_children",
        "simple_one_for_one_scale_many_temporary_children",
        "hanging_restart_loop",
        "hanging_restart_loop_rest_for_one",
        "hanging_restart_loop_simple",
        "format_log",
    ]
) | {f"{restart}_{end}" for restart in ("permanent", "transient", "temporary") for end in ENDS}
"""Those that carry over to actors that are no processes of Erlang."""


def documented_tests() -> dict[str, str]:
    """The docstring of each test of the suite, by its case."""
    found: dict[str, str] = {}
    for path in HERE.glob("test_otp_*.py"):
        if path == Path(__file__):
            continue
        for each in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(each, ast.FunctionDef) and each.name.startswith("test_"):
                case = each.name.removeprefix("test_")
                assert case not in found, f"two tests of {case}"
                found[case] = ast.get_docstring(each) or ""
    return found


def rows() -> dict[str, tuple[str, str]]:
    """The table: whether a case holds, and what is asserted, by the case."""
    _, text = PAGE.read_text(encoding="utf-8").split("## Conformance")
    found = re.findall(r"^\| `(\w+)` \| ([^|]*) \| ([^|]*) \|$", text, re.MULTILINE)
    assert len(found) == len({case for case, _, _ in found}), "a case is there twice"
    return {case: (holds, what) for case, holds, what in found}


def test_each_case_has_a_test() -> None:
    assert set(documented_tests()) == CASES


def test_each_case_is_in_the_table() -> None:
    assert set(rows()) == CASES


def test_the_table_says_of_each_case_whether_it_has_a_counterpart() -> None:
    documented = documented_tests()
    for case, (holds, what) in rows().items():
        assert holds in {"✓", "n/a"}, case
        assert documented[case], case
        assert (holds == "n/a") is documented[case].startswith("No counterpart: "), case
        assert what, case
