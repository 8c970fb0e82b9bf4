"""The supervisor: starts its children in order, restarts those that end, and ends with them.

It is a light actor and never blocks: what takes time (a child's `on_start`, its `on_stop`, a back-off) is waited for
between messages. Such work is an operation: see `supervisors.operations`. One runs at a time, or one for each child
where the children are concurrent, so that a restart and a stop never work against each other.
"""

from __future__ import annotations

import contextlib
import itertools
import queue
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pykka import ActorDeadError, Future
from pykka._envelope import Envelope

from supervisors.actor import LightActor, living
from supervisors.birth import birth
from supervisors.child import Child, ChildState
from supervisors.events import Down, Ready, Report, ReportKind
from supervisors.exits import NORMAL, SHUTDOWN, ExitKind, ExitReason, IgnoreStart
from supervisors.operations import Operation, Operations, Poke
from supervisors.spec import (
    WORKER_SHUTDOWN,
    AutoShutdown,
    ChildSpec,
    Restart,
    Shutdown,
    Strategy,
    SupervisorFlags,
    check_specs,
)
from supervisors.vitals import ActorState


@dataclass(frozen=True, slots=True)
class _Retry:
    child: Child


@dataclass(frozen=True, slots=True)
class Request:
    """A request of the administration about a child: an operation, which answers. To be asked, not told."""

    child: str | None
    """The child it is about; None for one that does not exist yet, and is to be given an id."""
    work: Callable[[Supervisor, Future[Any], str], Operation]
    """Called with the supervisor, what to answer, and the id of the child."""


@dataclass(frozen=True, slots=True)
class _Requested:
    request: Request
    answer: Future[Any]


class Supervisor(LightActor):
    """A supervisor of fixed children, and of those that are added to it.

    It is ready when its children are: those with a back-off may still be trying.

    Args:
        flags: how it works.
        children: what it starts, in this order.

    Raises:
        ChildSpecError: from `start()`, where the specifications cannot stand together; nothing has been started.
    """

    acknowledges_start = False

    def __init__(self, flags: SupervisorFlags, children: Sequence[ChildSpec] = ()) -> None:
        super().__init__()
        check_specs(children, flags)
        self.flags = flags
        self.template = children[0] if flags.strategy is Strategy.SIMPLE_ONE_FOR_ONE else None
        specs = () if self.template is not None else children
        self.children: dict[str, Child] = {spec.id: Child(spec, period=flags.period) for spec in specs}
        # Without an order between them, nothing waits for another.
        self._concurrent = flags.concurrent or self.template is not None
        self._numbers = itertools.count(1)
        self._by_epoch: dict[int, Child] = {}
        self._operations = Operations(self.timers, lambda: self.fenced)
        self._restart_times: deque[float] = deque()
        self._ending = False
        self._stop_askers: list[Future[Any]] = []
        self._request_askers: set[Future[Any]] = set()

    # -- messages ------------------------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Begin to start the children."""
        self._run(self._start_all(), "")
        self._operations.advance()

    def on_receive(self, message: Any) -> Any:
        """Take in what has happened to a child, and go on with what waits for it."""
        match message:
            case Ready():
                self._child_ready(message)
            case Down():
                self._child_down(message)
            case _Retry(child=child):
                self._run(self._retry(child), child.spec.id)
            case _Requested(request=request, answer=answer):
                if self._ending:
                    self._refuse_requests()
                else:
                    child_id = self._new_id() if request.child is None else request.child
                    self._run(self._serve(request, answer, child_id), child_id)
            case Poke(lane=lane):
                self._operations.touch(lane)
            case _:
                return super().on_receive(message)
        self._operations.advance()
        return None

    def on_end(self) -> None:
        """Leave no orphan: whatever ended the supervisor, children that live are ended with it. Any thread."""
        for child in list(self.children.values()):
            _kill_now(child, "its supervisor has ended")
        self._answer_left()

    def _handle(self, envelope: Envelope[Any]) -> None:
        if isinstance(envelope.message, Request) and envelope.reply_to is not None:
            # Answered when the work is done, and not when the message is handled.
            self._request_askers.add(envelope.reply_to)
            envelope = Envelope(_Requested(envelope.message, envelope.reply_to))
        super()._handle(envelope)
        if self._exit is not None:
            # Killed meanwhile: whoever was added just now, the killer may not have seen.
            self._answer_left()

    def _answer_left(self) -> None:
        for asker in list(self._stop_askers):
            with contextlib.suppress(queue.Full):
                asker.set(None)
        self._refuse_requests()

    def _refuse_requests(self) -> None:
        # One by one: another thread may add one, or refuse them as well, at any time.
        with contextlib.suppress(KeyError):
            while True:
                asker = self._request_askers.pop()
                with contextlib.suppress(queue.Full):
                    _refuse(asker, ActorDeadError(f"{self.path} stopped before it served the request"))

    def _shut_down(self) -> None:
        self._begin_end(SHUTDOWN)
        self._operations.advance()

    def _stop_asked(self, envelope: Envelope[Any]) -> None:
        if envelope.reply_to is not None:
            self._stop_askers.append(envelope.reply_to)
        self._begin_end(NORMAL)
        self._operations.advance()

    def _child_ready(self, message: Ready) -> None:
        child = self._by_epoch.get(message.epoch)
        if child is not None and child.state is ChildState.STARTING:
            child.enter(ChildState.RUNNING)
            self._operations.touch(self._lane(child.spec.id))
            self._report(ReportKind.PROGRESS, child)

    def _child_down(self, message: Down) -> None:
        child = self._by_epoch.pop(message.epoch, None)
        if child is None:
            return
        was, since = child.state, child.since
        child.ref = None
        child.ignored = was is ChildState.STARTING and isinstance(message.reason.error, IgnoreStart)
        child.last_exit = message.reason
        child.enter(ChildState.STOPPED)
        self._operations.touch(self._lane(child.spec.id))
        if was is ChildState.RUNNING:
            child.is_fresh = True
            ran = child.since - since
            self._run(self._restart_after(child, message, ran), child.spec.id)

    # -- operations ----------------------------------------------------------------------------------------------

    def _run(self, operation: Operation, child_id: str) -> None:
        if self._ending:
            operation.close()
            return
        self._operations.add(operation, self._lane(child_id))

    def _lane(self, child_id: str) -> str:
        """The lane of what is done to a child."""
        return child_id if self._concurrent else ""

    def _start_all(self) -> Operation:
        children = list(self.children.values())
        if self._concurrent:
            yield from self._side_by_side({child.spec.id: self._start_each([child]) for child in children})
        else:
            yield from self._start_each(children)
        if not self._is_over():
            self.acknowledge_start()

    def _side_by_side(self, operations: dict[str, Operation]) -> Operation:
        """Run an operation for each of some children, each in its child's lane, and wait until all are done."""
        left = set(operations)

        def counted(child_id: str, operation: Operation) -> Operation:
            yield from operation
            left.discard(child_id)
            self._operations.touch("")

        for child_id, operation in operations.items():
            self._operations.add(counted(child_id, operation), child_id)
        yield from self._operations.wait(lambda: not left, None)

    def _start_each(self, children: Iterable[Child]) -> Operation:
        """Start children in order. One that fails and has a back-off is retried; any other ends the supervisor."""
        for child in children:
            yield from self._start(child)
            if self._is_started(child):
                continue
            if child.spec.backoff is not None:
                self._plan_retry(child, ReportKind.START_ERROR)
                if self.flags.strategy is Strategy.ONE_FOR_ONE:
                    continue
                # Those after it are started by its retry.
                return
            self._report(ReportKind.START_ERROR, child)
            self._give_up(child)
            return

    def _start(self, child: Child) -> Operation:
        """Start a child, and wait until it is ready or has failed."""
        if self._is_over():
            return
        spec = child.spec
        path = f"{self.path.rstrip('/')}/{spec.id}"
        self.timers.cancel(spec.id)
        child.next_retry = None
        child.ignored = False
        child.is_fresh = False
        child.enter(ChildState.STARTING)
        try:
            with birth(self.system, path, self.tell_self, spec.hang_limit) as born:
                # Before it starts: it may be ready before `start` returns.
                child.epoch = born.epoch
                self._by_epoch[born.epoch] = child
                child.ref = spec.actor_class.start(*spec.args, **spec.kwargs)
        except BaseException as error:  # noqa: BLE001 - whatever `__init__` raises: the start has failed
            self._by_epoch.pop(child.epoch, None)
            child.ref = None
            child.ignored = isinstance(error, IgnoreStart)
            child.last_exit = ExitReason.of(error)
            child.enter(ChildState.STOPPED)
            return
        if self.exit_reason is not None:
            # Killed meanwhile: whoever did it may not have seen this child.
            _kill_now(child, "its supervisor has ended")
            return
        yield from self._operations.wait(lambda: child.state is not ChildState.STARTING, spec.start_timeout)
        if child.state is ChildState.STARTING:
            yield from self._kill(child, "its on_start took too long")
        elif child.state is ChildState.RUNNING and spec.restart is Restart.TEMPORARY:
            # It is never started again: what it was started with need not be kept alive.
            child.spec = replace(spec, args=(), kwargs={})

    def _restart_after(self, child: Child, down: Down, ran: float) -> Operation:
        """A child that was running has ended by itself, after so many seconds."""
        spec = child.spec
        if self.children.get(spec.id) is not child or child.epoch != down.epoch or not child.is_fresh:
            # An operation that came before has started, stopped or removed it already.
            return
        child.is_fresh = False
        wanted = spec.restart is Restart.PERMANENT or (spec.restart is Restart.TRANSIENT and down.reason.is_abnormal)
        if wanted and self._has_zombies(child):
            self._report(ReportKind.CHILD_TERMINATED, child)
            self._give_up(child)
            return
        if wanted and spec.backoff is not None:
            if ran >= spec.backoff.reset_after:
                child.failures = 0
            self._plan_retry(child, ReportKind.CHILD_TERMINATED)
            yield from self._stop_each(each for each in reversed(self._restarted_with(child)) if each is not child)
            return
        self._report(ReportKind.CHILD_TERMINATED, child)
        if wanted:
            yield from self._restart(child)
            return
        if spec.restart is Restart.TEMPORARY or self.template is not None:
            self.children.pop(spec.id, None)
        if spec.significant:
            self._significant_ended(child)

    def _retry(self, child: Child) -> Operation:
        """The time for a planned start has come."""
        if child.state is ChildState.RESTARTING and self.children.get(child.spec.id) is child:
            yield from self._restart(child)

    def _restart(self, child: Child) -> Operation:
        if child.spec.backoff is None and not self._within_intensity():
            self._give_up(child)
            return
        together = self._restarted_with(child)
        yield from self._stop_each(reversed(together))
        for each in together:
            if each.spec.restart is Restart.TEMPORARY and each is not child:
                # Ended with the others, and never started again.
                self.children.pop(each.spec.id, None)
                continue
            if each.epoch:
                each.restarted()
            yield from self._start(each)
            if self._is_started(each):
                continue
            if each.spec.backoff is not None:
                self._plan_retry(each, ReportKind.START_ERROR)
            else:
                self._report(ReportKind.START_ERROR, each)
                # By message: requests and a shutdown get in between, and each try counts.
                each.enter(ChildState.RESTARTING)
                self.tell_self(_Retry(each))
            return

    def _restarted_with(self, child: Child) -> list[Child]:
        """The child, and those that are restarted with it, in the order of their start."""
        if self.flags.strategy in {Strategy.ONE_FOR_ONE, Strategy.SIMPLE_ONE_FOR_ONE}:
            return [child]
        everyone = list(self.children.values())
        return everyone if self.flags.strategy is Strategy.ONE_FOR_ALL else everyone[everyone.index(child) :]

    def _stop_each(self, children: Iterable[Child]) -> Operation:
        for child in children:
            yield from self._stop_child(child)

    def _stop_child(self, child: Child) -> Operation:
        """End a child in order, or at once where it takes too long, and wait for its end."""
        self.timers.cancel(child.spec.id)
        child.next_retry = None
        if child.ref is None and not child.is_fresh:
            child.enter(ChildState.STOPPED)
            return
        brutal = child.spec.shutdown is Shutdown.BRUTAL_KILL
        if child.ref is not None and brutal:
            yield from self._kill(child, "brutal_kill")
        elif child.ref is not None:
            child.enter(ChildState.STOPPING)
            actor = living(child.ref)
            if actor is not None:
                # Otherwise it has ended just now by itself, and its Down is on its way.
                actor.request_shutdown()
            yield from self._operations.wait(lambda: child.ref is None, _shutdown_seconds(child.spec))
            if child.ref is not None:
                yield from self._kill(child, "its on_stop took too long")
        # Otherwise it has ended by itself just before: told with the others, and done with.
        child.is_fresh = False
        expected = {ExitKind.KILLED if brutal else ExitKind.SHUTDOWN}
        if child.spec.restart is not Restart.PERMANENT:
            expected.add(ExitKind.NORMAL)
        if child.last_exit is not None and child.last_exit.kind not in expected:
            self._report(ReportKind.SHUTDOWN_ERROR, child)

    def _kill(self, child: Child, why: str) -> Operation:
        child.enter(ChildState.STOPPING)
        _kill_now(child, why)
        # For its Down: without it, it could arrive when the next incarnation has started already.
        yield from self._operations.wait(lambda: child.ref is None, None)

    def _end_all(self, reason: ExitReason) -> Operation:
        children = list(self.children.values())
        if self._concurrent:
            yield from self._side_by_side({child.spec.id: self._stop_child(child) for child in children})
        else:
            yield from self._stop_each(reversed(children))
        self._end(reason)

    # -- for the administration ----------------------------------------------------------------------------------

    def add_child(self, spec: ChildSpec) -> Child:
        """A further child, which does not run yet."""
        child = self.children[spec.id] = Child(spec, period=self.flags.period)
        return child

    def _new_id(self) -> str:
        """An id for a child of a simple_one_for_one supervisor."""
        return "" if self.template is None else f"{self.template.id}-{next(self._numbers)}"

    def begin_child(self, child: Child) -> Operation:
        """Start a child that does not run."""
        yield from self._start(child)
        if not self._is_started(child):
            if child.spec.backoff is not None:
                self._plan_retry(child, ReportKind.START_ERROR)
            else:
                self._report(ReportKind.START_ERROR, child)

    def end_child(self, child: Child) -> Operation:
        """End a child, and leave it so; a temporary one is forgotten."""
        yield from self._stop_child(child)
        if child.spec.restart is Restart.TEMPORARY or self.template is not None:
            self.children.pop(child.spec.id, None)

    def retry_now(self, child: Child) -> Operation:
        """Start a child that waits for its back-off, with those that are restarted with it."""
        yield from self._retry(child)

    def _serve(self, request: Request, answer: Future[Any], child_id: str) -> Operation:
        yield from request.work(self, answer, child_id)
        if not self.fenced:
            # Otherwise it may not have been answered: it is, with all that are left.
            self._request_askers.discard(answer)

    # -- the rest ------------------------------------------------------------------------------------------------

    def _begin_end(self, reason: ExitReason) -> None:
        """Stop the children, then end. What was at work or waited is dropped."""
        if self._ending:
            return
        self._ending = True
        self._operations.drop()
        self._refuse_requests()
        self._enter(ActorState.STOPPING)
        self._operations.add(self._end_all(reason), "")

    def _significant_ended(self, child: Child) -> None:
        """A significant child has ended for good: end by it, or by the last of them."""
        others = any(each.spec.significant and each is not child and each.is_active for each in self.children.values())
        if self.flags.auto_shutdown is AutoShutdown.ALL_SIGNIFICANT and others:
            return
        self._begin_end(SHUTDOWN)

    def _has_zombies(self, child: Child) -> bool:
        """Whether a child has left too many threads behind to be started once more."""
        path = f"{self.path.rstrip('/')}/{child.spec.id}"
        return self.system.zombies.count(path) > child.spec.max_zombies

    def _is_started(self, child: Child) -> bool:
        """Whether a start needs no more: it runs, does not want to, or nothing is to run any more."""
        if child.ignored and (child.spec.restart is Restart.TEMPORARY or self.template is not None):
            self.children.pop(child.spec.id, None)
        return child.state is ChildState.RUNNING or child.ignored or self._is_over()

    def _is_over(self) -> bool:
        """Whether nothing is to be started any more."""
        return self._ending or self.fenced

    def _give_up(self, child: Child) -> None:
        self._report(ReportKind.SHUTDOWN, child)
        detail = f"{child.spec.id} cannot be kept running: {child.last_exit}"
        self._begin_end(ExitReason(ExitKind.SHUTDOWN, detail=detail))

    def _plan_retry(self, child: Child, report: ReportKind) -> None:
        backoff = child.spec.backoff
        if backoff is None:
            return
        child.failures += 1
        delay = backoff.delay(child.failures)
        child.enter(ChildState.RESTARTING)
        child.next_retry = time.monotonic() + delay
        if delay > 0:
            self.timers.once(child.spec.id, delay, _Retry(child))
        else:
            # Without the wheel's slots: the world waits for it.
            self.tell_self(_Retry(child))
        self._report(report, child, retry_in=delay)

    def _within_intensity(self) -> bool:
        now = time.monotonic()
        times = self._restart_times
        times.append(now)
        while times[0] < now - self.flags.period:
            times.popleft()
        return len(times) <= self.flags.intensity

    def _report(self, kind: ReportKind, child: Child, *, retry_in: float | None = None) -> None:
        reason = None if kind is ReportKind.PROGRESS else child.last_exit
        self.system.report(Report(kind, self.path, child.spec.id, reason, retry_in=retry_in, restarts=child.restarts))


def _kill_now(child: Child, why: str) -> None:
    actor = living(child.ref) if child.ref is not None else None
    if actor is not None:
        actor.kill(why)


def _shutdown_seconds(spec: ChildSpec) -> float | None:
    match spec.shutdown:
        case Shutdown():
            return None
        case None:
            return None if issubclass(spec.actor_class, Supervisor) else WORKER_SHUTDOWN
        case seconds:
            return seconds


def _refuse(answer: Future[Any], error: Exception) -> None:
    answer.set_exception((type(error), error, None))
