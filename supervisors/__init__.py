"""Supervision for Pykka, after Erlang/OTP: actors that end with a reason, and supervisors that restart them.

It knows nothing of what its actors do.
"""

from supervisors.actor import Actor, LightActor, PinnedActor, living
from supervisors.administration import (
    ChildCounts,
    ChildInfo,
    count_children,
    delete_child,
    get_childspec,
    restart_child,
    retry_child,
    start_child,
    start_dynamic_child,
    terminate_child,
    which_children,
)
from supervisors.child import ChildError, ChildState
from supervisors.child_process import ChildSide, ParentError
from supervisors.events import Down, Ready, Report, ReportKind
from supervisors.exits import ExitKind, ExitReason, IgnoreStart
from supervisors.mailbox import MailboxFullError, Overflow
from supervisors.process import ProcessActor, ProcessLostError, ProcessWork, TellChild
from supervisors.root import Root
from supervisors.snapshot import ActorInfo, snapshot
from supervisors.spec import (
    AutoShutdown,
    Backoff,
    ChildSpec,
    ChildSpecError,
    Restart,
    Shutdown,
    Strategy,
    SupervisorFlags,
    check_specs,
)
from supervisors.supervisor import Supervisor
from supervisors.system import System, default_system
from supervisors.tapping import tap, untap
from supervisors.vitals import ActorState

__all__ = [
    "Actor",
    "ActorInfo",
    "ActorState",
    "AutoShutdown",
    "Backoff",
    "ChildCounts",
    "ChildError",
    "ChildInfo",
    "ChildSide",
    "ChildSpec",
    "ChildSpecError",
    "ChildState",
    "Down",
    "ExitKind",
    "ExitReason",
    "IgnoreStart",
    "LightActor",
    "MailboxFullError",
    "Overflow",
    "ParentError",
    "PinnedActor",
    "ProcessActor",
    "ProcessLostError",
    "ProcessWork",
    "Ready",
    "Report",
    "ReportKind",
    "Restart",
    "Root",
    "Shutdown",
    "Strategy",
    "Supervisor",
    "SupervisorFlags",
    "System",
    "TellChild",
    "check_specs",
    "count_children",
    "default_system",
    "delete_child",
    "get_childspec",
    "living",
    "restart_child",
    "retry_child",
    "snapshot",
    "start_child",
    "start_dynamic_child",
    "tap",
    "terminate_child",
    "untap",
    "which_children",
]
