"""Requests to a running supervisor, as OTP's `supervisor` module has them.

Any thread may call these; none of them blocks. The answer is a future: plain threads `get` it with a deadline; an actor
must not, as it would wait for another. Where the supervisor ends meanwhile, or has ended, it raises ActorDeadError.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pykka import ActorRef, Future

from supervisors.spec import ChildSpec
from supervisors.supervisor import Child, ChildError, ChildState, Operation, Request, Supervisor


def start_child(supervisor: ActorRef[Supervisor], spec: ChildSpec) -> Future[ActorRef[Any]]:
    """Add a child and start it.

    The future gives its ref, or raises ChildError (already_started, already_present), or why it did not start; such a
    child is not added, unless it has a back-off: then it is retried.
    """

    def work(actor: Supervisor, answer: Future[Any]) -> Operation:
        present = actor.children.get(spec.id)
        if present is not None:
            why = "already_present" if present.state is ChildState.STOPPED else "already_started"
            _raise(answer, ChildError(why, spec.id))
            return
        child = actor.children[spec.id] = Child(spec)
        yield from actor.begin_child(child)
        _answer_start(actor, answer, child)
        if child.state is ChildState.STOPPED:
            actor.children.pop(spec.id, None)

    return _request(supervisor, spec.id, work)


def terminate_child(supervisor: ActorRef[Supervisor], child_id: str) -> Future[None]:
    """End a child, and leave it so. The future raises ChildError (not_found)."""

    def work(actor: Supervisor, answer: Future[Any]) -> Operation:
        child = actor.children.get(child_id)
        if child is None:
            _raise(answer, ChildError("not_found", child_id))
            return
        yield from actor.end_child(child)
        answer.set(None)

    return _request(supervisor, child_id, work)


def restart_child(supervisor: ActorRef[Supervisor], child_id: str) -> Future[ActorRef[Any]]:
    """Start a child that has been terminated. The future raises ChildError (not_found, running, restarting)."""

    def work(actor: Supervisor, answer: Future[Any]) -> Operation:
        child = actor.children.get(child_id)
        if child is None:
            _raise(answer, ChildError("not_found", child_id))
        elif child.state is not ChildState.STOPPED:
            why = "restarting" if child.state is ChildState.RESTARTING else "running"
            _raise(answer, ChildError(why, child_id))
        else:
            yield from actor.begin_child(child)
            _answer_start(actor, answer, child)

    return _request(supervisor, child_id, work)


def delete_child(supervisor: ActorRef[Supervisor], child_id: str) -> Future[None]:
    """Forget a child that has been terminated. The future raises ChildError (not_found, running, restarting)."""

    def work(actor: Supervisor, answer: Future[Any]) -> Operation:
        child = actor.children.get(child_id)
        if child is None:
            _raise(answer, ChildError("not_found", child_id))
        elif child.state is not ChildState.STOPPED:
            why = "restarting" if child.state is ChildState.RESTARTING else "running"
            _raise(answer, ChildError(why, child_id))
        else:
            del actor.children[child_id]
            answer.set(None)
        yield from ()

    return _request(supervisor, child_id, work)


def retry_child(supervisor: ActorRef[Supervisor], child_id: str) -> Future[None]:
    """Start a child that waits for its back-off now. The future raises ChildError (not_found, running)."""

    def work(actor: Supervisor, answer: Future[Any]) -> Operation:
        child = actor.children.get(child_id)
        if child is None:
            _raise(answer, ChildError("not_found", child_id))
        elif child.state is not ChildState.RESTARTING:
            _raise(answer, ChildError("running", child_id))
        else:
            answer.set(None)
            yield from actor.retry_now(child)

    return _request(supervisor, child_id, work)


def _request(
    supervisor: ActorRef[Supervisor], child_id: str, work: Callable[[Supervisor, Future[Any]], Operation]
) -> Future[Any]:
    # Asked and not told: whatever becomes of the supervisor, there is an answer.
    return supervisor.ask(Request(child_id, work), block=False)


def _answer_start(actor: Supervisor, answer: Future[Any], child: Child) -> None:
    if actor.fenced:
        # Killed in the middle of it: answered with all that it leaves.
        return
    if child.state is ChildState.RUNNING:
        answer.set(child.ref)
    elif child.last_exit is not None and child.last_exit.error is not None:
        _raise(answer, child.last_exit.error)
    else:
        _raise(answer, ChildError(str(child.last_exit), child.spec.id))


def _raise(answer: Future[Any], error: BaseException) -> None:
    answer.set_exception((type(error), error, None))
