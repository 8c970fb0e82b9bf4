"""Supervision for Pykka, after Erlang/OTP: actors that end with a reason, and supervisors that restart them.

It knows nothing of what its actors do.
"""

from supervisors.actor import Actor, ActorState, LightActor, PinnedActor, living
from supervisors.administration import delete_child, restart_child, retry_child, start_child, terminate_child
from supervisors.events import Down, Ready, Report, ReportKind
from supervisors.exits import ExitKind, ExitReason
from supervisors.root import Root
from supervisors.snapshot import ActorInfo, snapshot
from supervisors.spec import Backoff, ChildSpec, ChildSpecError, Restart, Shutdown, Strategy, SupervisorFlags
from supervisors.supervisor import ChildError, ChildState, Supervisor
from supervisors.system import System, default_system

__all__ = [
    "Actor",
    "ActorInfo",
    "ActorState",
    "Backoff",
    "ChildError",
    "ChildSpec",
    "ChildSpecError",
    "ChildState",
    "Down",
    "ExitKind",
    "ExitReason",
    "LightActor",
    "PinnedActor",
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
    "default_system",
    "delete_child",
    "living",
    "restart_child",
    "retry_child",
    "snapshot",
    "start_child",
    "terminate_child",
]
