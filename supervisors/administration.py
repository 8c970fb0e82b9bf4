"""Requests to a running supervisor, as OTP's `supervisor` module has them.

Any thread may call these; none of them blocks. The answer is a future: plain threads `get` it with a deadline; an actor
must not, as it would wait for another. Where the supervisor ends meanwhile, or has ended, it raises ActorDeadError.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from pykka import ActorDeadError, ActorRef, Future

from supervisors.actor import Actor, living
from supervisors.child import Child, ChildError, ChildState
from supervisors.operations import Operation
from supervisors.spec import ChildSpec, ChildSpecError, check_specs
from supervisors.supervisor import Request, Supervisor


def start_child(supervisor: ActorRef[Supervisor], spec: ChildSpec) -> Future[ActorRef[Any]]:
    """Add a child and start it.

    The future gives its ref, or None where the child did not want to run (`IgnoreStart`). It raises ChildError
    (already_started, already_present, simple_one_for_one), ChildSpecError where the supervisor's flags do not allow
    such a child, or why it did not start; such a child is not added, unless it has a back-off: then it is retried.
    """

    def work(actor: Supervisor, answer: Future[Any], child_id: str) -> Operation:
        if actor.template is not None:
            _raise(answer, ChildError("simple_one_for_one", child_id))
            return
        try:
            check_specs([spec], actor.flags)
        except ChildSpecError as error:
            _raise(answer, error)
            return
        present = actor.children.get(child_id)
        if present is not None:
            _raise(answer, ChildError("already_started" if present.is_active else "already_present", child_id))
            return
        child = actor.add_child(spec)
        yield from actor.begin_child(child)
        _answer_start(actor, answer, child)
        if not child.is_active and not child.ignored:
            actor.children.pop(child_id, None)

    return _request(supervisor, spec.id, work)


def terminate_child(supervisor: ActorRef[Supervisor], child_id: str) -> Future[None]:
    """End a child, and leave it so. The future raises ChildError (not_found)."""

    def work(actor: Supervisor, answer: Future[Any], child_id: str) -> Operation:
        child = actor.children.get(child_id)
        if child is None:
            _raise(answer, ChildError("not_found", child_id))
            return
        yield from actor.end_child(child)
        answer.set(None)

    return _request(supervisor, child_id, work)


def restart_child(supervisor: ActorRef[Supervisor], child_id: str) -> Future[ActorRef[Any]]:
    """Start a child that has been terminated. The future raises ChildError (not_found, running, restarting)."""

    def work(actor: Supervisor, answer: Future[Any], child_id: str) -> Operation:
        child = _terminated(actor, answer, child_id)
        if child is not None:
            yield from actor.begin_child(child)
            _answer_start(actor, answer, child)

    return _request(supervisor, child_id, work)


def delete_child(supervisor: ActorRef[Supervisor], child_id: str) -> Future[None]:
    """Forget a child that has been terminated. The future raises ChildError (not_found, running, restarting)."""

    def work(actor: Supervisor, answer: Future[Any], child_id: str) -> Operation:
        child = _terminated(actor, answer, child_id)
        if child is not None:
            del actor.children[child_id]
            answer.set(None)
        yield from ()

    return _request(supervisor, child_id, work)


def retry_child(supervisor: ActorRef[Supervisor], child_id: str) -> Future[None]:
    """Start a child that waits for its back-off now. The future raises ChildError (not_found, running)."""

    def work(actor: Supervisor, answer: Future[Any], child_id: str) -> Operation:
        child = actor.children.get(child_id)
        if child is None:
            _raise(answer, ChildError("not_found", child_id))
        elif child.state is not ChildState.RESTARTING:
            _raise(answer, ChildError("running", child_id))
        else:
            answer.set(None)
            yield from actor.retry_now(child)

    return _request(supervisor, child_id, work)


def start_dynamic_child(supervisor: ActorRef[Supervisor], *args: Any) -> Future[ActorRef[Any]]:
    """Start one more child of a simple_one_for_one supervisor, with these arguments after those of its specification.

    The future gives its ref, or None where the child did not want to run (`IgnoreStart`). It raises why it did not
    start, or ChildError (not_dynamic). Its id is the last part of its path: the one of the specification, and a number.
    """

    def work(actor: Supervisor, answer: Future[Any], child_id: str) -> Operation:
        if actor.template is None:
            _raise(answer, ChildError("not_dynamic", actor.path))
            return
        template = actor.template
        child = actor.add_child(replace(template, id=child_id, args=(*template.args, *args)))
        yield from actor.begin_child(child)
        _answer_start(actor, answer, child)
        if not child.is_active:
            actor.children.pop(child_id, None)

    return _request(supervisor, None, work)


def get_childspec(supervisor: ActorRef[Supervisor], child_id: str) -> ChildSpec:
    """The specification of a child, or the one that a simple_one_for_one supervisor makes its children of.

    Reads, and asks nobody. That of a temporary child has no arguments any more once it runs.

    Raises:
        ChildError: not_found.
        ActorDeadError: the supervisor has ended.
    """
    actor = _living(supervisor)
    if actor.template is not None and actor.template.id == child_id:
        return actor.template
    child = actor.children.get(child_id)
    if child is None:
        raise ChildError("not_found", child_id)
    return child.spec


@dataclass(frozen=True, slots=True)
class ChildInfo:
    """One line of `which_children`.

    Attributes:
        ref: its actor; None where it has none now.
        restarting: whether it waits for its next start.
    """

    id: str
    ref: ActorRef[Any] | None
    restarting: bool
    is_supervisor: bool
    actor_class: type[Actor]


def which_children(supervisor: ActorRef[Supervisor]) -> list[ChildInfo]:
    """The children, in the order of their start. Reads, and asks nobody.

    Raises:
        ActorDeadError: the supervisor has ended.
    """
    return [
        ChildInfo(
            child.spec.id,
            child.ref,
            child.state is ChildState.RESTARTING,
            issubclass(child.spec.actor_class, Supervisor),
            child.spec.actor_class,
        )
        for child in list(_living(supervisor).children.values())
    ]


@dataclass(frozen=True, slots=True)
class ChildCounts:
    """How many children there are: of all, those that run, the supervisors and the workers among all."""

    specs: int
    active: int
    supervisors: int
    workers: int


def count_children(supervisor: ActorRef[Supervisor]) -> ChildCounts:
    """How many children there are. Reads, and asks nobody.

    Raises:
        ActorDeadError: the supervisor has ended.
    """
    children = which_children(supervisor)
    supervisors = sum(child.is_supervisor for child in children)
    dynamic = _living(supervisor).template is not None
    return ChildCounts(
        specs=1 if dynamic else len(children),
        active=sum(child.ref is not None for child in children),
        supervisors=supervisors,
        workers=len(children) - supervisors,
    )


def _living(supervisor: ActorRef[Supervisor]) -> Supervisor:
    actor = living(supervisor)
    if not isinstance(actor, Supervisor) or actor.exit_reason is not None:
        raise ActorDeadError(f"{supervisor} not found")
    return actor


def _request(
    supervisor: ActorRef[Supervisor], child_id: str | None, work: Callable[[Supervisor, Future[Any], str], Operation]
) -> Future[Any]:
    # Asked and not told: whatever becomes of the supervisor, there is an answer.
    return supervisor.ask(Request(child_id, work), block=False)


def _terminated(actor: Supervisor, answer: Future[Any], child_id: str) -> Child | None:
    """A child that has been terminated; None where there is no such child, which has been answered."""
    child = actor.children.get(child_id)
    if actor.template is not None:
        why = "simple_one_for_one"
    elif child is None:
        why = "not_found"
    elif child.is_active:
        why = "restarting" if child.state is ChildState.RESTARTING else "running"
    else:
        return child
    _raise(answer, ChildError(why, child_id))
    return None


def _answer_start(actor: Supervisor, answer: Future[Any], child: Child) -> None:
    if actor.fenced:
        # Killed in the middle of it: answered with all that it leaves.
        return
    if child.state is ChildState.RUNNING or child.ignored:
        # OTP's `{ok, undefined}` is a None.
        answer.set(child.ref)
    elif child.last_exit is not None and child.last_exit.error is not None:
        _raise(answer, child.last_exit.error)
    else:
        _raise(answer, ChildError(str(child.last_exit), child.spec.id))


def _raise(answer: Future[Any], error: BaseException) -> None:
    answer.set_exception((type(error), error, None))
