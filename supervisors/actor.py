"""Actors that a supervisor can rely on: Pykka's, with a path, a reason for every end, monitors and timers."""

from __future__ import annotations

import contextlib
import logging
import queue
import sys
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, ClassVar, Final, cast

import pykka
from pykka import ActorDeadError, ActorRegistry
from pykka._envelope import Envelope
from pykka.messages import ProxyCall, ProxyGetAttr, ProxySetAttr, _ActorStop

from supervisors.birth import Notify, take_birth
from supervisors.dispatcher import THROUGHPUT, AskFuture
from supervisors.events import Down, Ready, Report, ReportKind
from supervisors.exits import NORMAL, SHUTDOWN, ExitKind, ExitReason, IgnoreStart
from supervisors.mailbox import Mailbox, Overflow
from supervisors.system import default_system
from supervisors.timers import Tick, Timers
from supervisors.vitals import ActorState, StopFlag, Vitals

logger = logging.getLogger("supervisors")
pykka_logger = logging.getLogger("pykka")
"""For what Pykka logs too, and in its words, where nobody takes the reports."""


class Actor(pykka.Actor):
    """What light and pinned actors have in common. Use `LightActor` or `PinnedActor`.

    Differs from `pykka.ThreadingActor` in how it ends: every end has one reason, told once to the parent and to each
    monitor after `on_stop` (or `on_failure`) has run; no exception, a `BaseException` included, leaves an asker
    without an answer or stops another actor.
    """

    mailbox_limit: ClassVar[int | None] = None
    """How many messages may wait; None for any number. What the actor needs of its system always finds room."""
    mailbox_overflow: ClassVar[Overflow] = Overflow.DROP_NEWEST
    """What happens to a message too many."""
    acknowledges_start = True
    """Whether the parent is told that the actor is ready when `on_start` returns. Otherwise the actor calls
    `acknowledge_start` itself."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Pykka's own holds a condition with its queue, a kilobyte for each actor, which nobody waits for.
        self.actor_stopped = self._actor_ref.actor_stopped = StopFlag()
        given = take_birth()
        system = default_system() if given is None else given.system
        self.system = system
        self._inbox = self.mailbox
        self.mailbox.limit(self.mailbox_limit, self.mailbox_overflow)
        self.path = self.actor_urn if given is None else given.path
        self.epoch = system.next_epoch() if given is None else given.epoch
        self._parent = None if given is None else given.parent
        self._hang_limit = None if given is None else given.hang_limit
        self.vitals = Vitals(ActorState.STARTING, time.monotonic())
        self.timers = Timers(system.wheel, self._put_tick)
        self._life = threading.Lock()
        self._exit: ExitReason | None = None
        self._monitors: dict[int, Notify] = {}
        self._begun = False
        self._shutdown_requested = False
        self._in_hand: Envelope[Any] | None = None

    @staticmethod
    def _create_actor_inbox() -> Any:
        return Mailbox()

    @staticmethod
    def _create_future() -> pykka.Future[Any]:
        return AskFuture()

    @property
    def mailbox(self) -> Mailbox:
        """The inbox, as what it is."""
        return cast("Mailbox", self.actor_inbox)

    @property
    def exit_reason(self) -> ExitReason | None:
        """Why it ended; None as long as it has not. Any thread."""
        return self._exit

    @property
    def fenced(self) -> bool:
        """Whether the actor has been ended from outside while it was at work: its results must go nowhere."""
        return self._exit is not None

    # -- what others do to it; any thread ------------------------------------------------------------------------

    def request_shutdown(self) -> None:
        """Have the actor end in order after the message in hand: `on_stop`, then reason shutdown. Does not wait."""
        self._shutdown_requested = True
        self.mailbox.wake()

    def kill(self, detail: str = "") -> None:
        """End the actor now, whatever it is doing. `on_stop` does not run.

        A thread cannot be killed: where one is stuck in a handler it stays, but what it was asked is answered with
        `ActorDeadError`, and whatever it returns goes nowhere. Does not wait.
        """
        zombies = self.system.zombies
        if self._at_work_elsewhere():
            # Before its end: whoever hears of that asks how many there are.
            zombies.add(self.epoch, self.path)
        self._finish(ExitReason(ExitKind.KILLED, detail=detail))
        if self._at_work_elsewhere():
            # Again: it may have taken up something meanwhile.
            zombies.add(self.epoch, self.path)
            self.system.check_zombies()
        if not self._at_work_elsewhere():
            # It has come back just now, perhaps before it was counted.
            zombies.remove(self.epoch)

    def add_monitor(self, notify: Notify) -> int:
        """Have `notify` called with one `Down` when the actor has ended; at once where it has. Returns a key."""
        with self._life:
            if self._exit is None:
                key = id(notify)
                self._monitors[key] = notify
                return key
        notify(self._down(self._exit))
        return 0

    def remove_monitor(self, key: int) -> None:
        """Take a monitor back; nothing where it is gone."""
        with self._life:
            self._monitors.pop(key, None)

    @property
    def pid(self) -> int | None:
        """The id of its own process; None where it has none. Any thread."""
        return None

    def below(self) -> tuple[Any, ...]:
        """What is known of the tree in its own process, for the snapshot; nothing where it has none. Any thread."""
        return ()

    # -- what it does itself; its own thread ---------------------------------------------------------------------

    def acknowledge_start(self) -> None:
        """Tell the parent that the actor is ready."""
        self._enter(ActorState.RUNNING)
        if self._parent is not None and self._exit is None:
            self._parent(Ready(self.actor_ref, self.epoch))

    def tell_self(self, message: Any) -> None:
        """Put a message at the end of the actor's own mailbox."""
        self._inbox.put(Envelope(message))

    def tell_path(self, path: str, message: Any) -> bool:
        """Tell whoever lives at a path; see `System.tell`. What a fenced actor says goes nowhere."""
        return not self.fenced and self.system.tell(path, message)

    def report(self, kind: ReportKind, *, reason: ExitReason | None = None, detail: str = "") -> None:
        """Report something of this actor."""
        self.system.report(Report(kind, self.path, reason=reason, detail=detail))

    def on_receive(self, message: Any) -> Any:
        """Handle a message; one that nothing handles is reported, and changes nothing."""
        if self.system.takes_reports:
            self.report(ReportKind.UNHANDLED_MESSAGE, detail=repr(message)[:200])
        else:
            super().on_receive(message)

    def on_end(self) -> None:
        """Hook for what must be undone at any end, a kill included. Any thread; must not block.

        What it raises is logged, and changes nothing.
        """

    # -- the turn ------------------------------------------------------------------------------------------------

    def _start_actor_loop(self) -> None:
        self.system.register(self.path, self.actor_ref)
        if self._hang_limit is not None:
            self.system.watchdog.watch(self, self._hang_limit)
        self.mailbox.bind(self._schedule_turn, self.system.count_dead_letter)

    def _schedule_turn(self) -> None:
        raise NotImplementedError

    def _turn(self, limit: int) -> None:
        """Handle up to `limit` messages; one thread at a time. Never raises."""
        try:
            self._take_turn(limit)
        except BaseException as error:  # noqa: BLE001 - outside of any handler: no more can be expected of this actor
            self._log_failure(error)
            self._finish(ExitReason.of(error))
            self._come_back()

    def _take_turn(self, limit: int) -> None:
        self.vitals.thread = threading.get_ident()
        if not self._begun and self._exit is None:
            self._begun = True
            self._begin()
        mailbox = self._inbox
        for _ in range(limit):
            if self._exit is not None:
                break
            if self._shutdown_requested:
                self._shutdown_requested = False
                self._shut_down()
                continue
            envelope = mailbox.take()
            if envelope is None:
                self._rest()
                return
            self._handle(envelope)
        if self._exit is not None:
            self._come_back()
        else:
            # There may be more; the others have their turns first.
            self._schedule_turn()

    def _rest(self) -> None:
        if self._shutdown_requested:
            # Asked for after the last look, and before the end of the turn, which was still on its way.
            self._inbox.wake()

    def _at_work_elsewhere(self) -> bool:
        """Whether another thread than this one is inside of the actor's code."""
        return self.vitals.current is not None and self.vitals.thread != threading.get_ident()

    def _come_back(self) -> None:
        """The thread is back from an actor that has ended: it is no zombie, or not any more."""
        self.vitals.current = None
        self.system.zombies.remove(self.epoch)

    def _begin(self) -> None:
        self._take_up("on_start")
        try:
            self.on_start()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it ends this actor and nothing else
            self._log_failure(error)
            self._finish(ExitReason.of(error))
            return
        finally:
            self.vitals.current = None
        if self.acknowledges_start:
            self.acknowledge_start()

    def _handle(self, envelope: Envelope[Any]) -> None:
        self._in_hand = envelope
        message = envelope.message
        try:
            if self._exit is not None:
                # Killed since the message was taken: the killer may have looked for it before it was in hand.
                self._inbox.refuse(envelope)
            elif isinstance(message, Tick):
                if self.timers.accept(message):
                    self._receive(envelope, message.timer.message)
            elif isinstance(message, _ActorStop):
                self._stop_asked(envelope)
            else:
                self._receive(envelope, message)
        finally:
            self._in_hand = None

    def _receive(self, envelope: Envelope[Any], message: Any) -> None:
        vitals = self.vitals
        vitals.current_since = time.monotonic()
        vitals.current = type(message).__name__
        try:
            # Pykka's own way looks for these one by one, for each message.
            ours = not isinstance(message, _OF_PROXIES)
            response = self.on_receive(message) if ours else self._handle_receive(message)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is this actor's end or its asker's answer
            self._failed(envelope, error)
        else:
            if envelope.reply_to is not None:
                _answer(envelope, response)
        finally:
            vitals.handled += 1
            vitals.current = None

    def _take_up(self, work: str) -> None:
        """Note what the actor is at from now on, for the watchdog and the snapshot."""
        # In this order: whoever looks in between must not find it at this for as long as at the last.
        self.vitals.current_since = time.monotonic()
        self.vitals.current = work

    def _shut_down(self) -> None:
        """The supervisor wants the actor to end."""
        self._end(SHUTDOWN)

    def _stop_asked(self, envelope: Envelope[Any]) -> None:  # noqa: ARG002 - for those that end later
        """Somebody has called `stop()`; what is in hand is answered at the end."""
        self._end(NORMAL)

    def _failed(self, envelope: Envelope[Any], error: BaseException) -> None:
        if envelope.reply_to is not None:
            _answer_error(envelope)
            if isinstance(error, Exception):
                # As Pykka has it: the asker has the exception, and the actor lives.
                if not self.system.takes_reports:
                    pykka_logger.info("Exception returned from %s to caller:", self, exc_info=error)
                    return
                self.report(ReportKind.ASK_FAILED, reason=ExitReason.of(error))
                return
        if self._exit is not None:
            return
        self._log_failure(error)
        self.actor_stopped.set()
        # It is cut off for the reason; the hook has it, as in Pykka.
        trace = error.__traceback__
        reason = ExitReason.of(error)
        try:
            self.on_failure(type(error), error, trace)
        except BaseException as second:  # noqa: BLE001 - the first failure is the reason; this one is told beside it
            self._log_failure(second)
            if self.system.takes_reports:
                self.report(ReportKind.UNHANDLED_MESSAGE, reason=ExitReason.of(second), detail="on_failure failed")
        self._finish(reason)

    def _log_failure(self, error: BaseException) -> None:
        """Log what ends the actor as Pykka does, where no report of a supervisor tells of it."""
        if (self._parent is None or not self.system.takes_reports) and not isinstance(error, IgnoreStart):
            pykka_logger.error("Unhandled exception in %s:", self, exc_info=error)

    def _end(self, reason: ExitReason) -> None:
        """End in order: `on_stop`, then the rest."""
        self._enter(ActorState.STOPPING)
        # Before `on_stop`: what is told from now on would never be handled.
        self.actor_stopped.set()
        pykka_logger.debug("Stopped %s", self)
        self._take_up("on_stop")
        try:
            self.on_stop()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the reason of this end
            self._log_failure(error)
            reason = ExitReason.of(error)
        self._finish(reason)

    def _finish(self, reason: ExitReason) -> None:
        """The one place where an actor ends; the first reason counts. Any thread."""
        with self._life:
            if self._exit is not None:
                return
            self._exit = reason
            self.vitals.state = ActorState.DEAD
            self.vitals.since = time.monotonic()
            watchers = list(self._monitors.values())
            self._monitors.clear()
        self.actor_stopped.set()
        _unregister(self.actor_ref)
        self.system.unregister(self.path, self.actor_ref)
        self._guarded(self.timers.close)
        self._guarded(self.mailbox.close)
        in_hand = self._in_hand
        if in_hand is not None and in_hand.reply_to is not None:
            if isinstance(in_hand.message, _ActorStop):
                _answer(in_hand, None)
            else:
                dead = ActorDeadError(f"{self.path} ended while it was at work on the message")
                _answer_error(in_hand, dead)
        self._guarded(self.on_end)
        if self._parent is not None:
            watchers.insert(0, self._parent)
        down = self._down(reason)
        for notify in watchers:
            self._guarded(notify, down)

    def _guarded(self, hook: Callable[..., None], *args: Any) -> None:
        try:
            hook(*args)
        except BaseException:
            # One that fails must not keep the others from hearing of the end, nor harm whoever has killed the actor.
            logger.exception("%s: %r failed at its end", self.path, hook)

    def _down(self, reason: ExitReason) -> Down:
        return Down(self.actor_ref, self.path, self.epoch, reason)

    def _enter(self, state: ActorState) -> None:
        with self._life:
            # From the end there is no way back, whatever the actor's own thread is at when it is killed.
            if self._exit is None:
                self.vitals.state = state
                self.vitals.since = time.monotonic()

    def _put_tick(self, tick: Tick) -> None:
        self._inbox.put(Envelope(tick))


class LightActor(Actor):
    """An actor that shares the dispatcher's threads with thousands of others. Its handlers never block."""

    def _schedule_turn(self) -> None:
        self.system.dispatcher.submit(self._run_turn)

    def _run_turn(self) -> None:
        self._turn(THROUGHPUT)


class PinnedActor(Actor):
    """An actor with a daemon thread of its own, which may block."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._wakeups: SimpleQueue[None] = SimpleQueue()

    def _start_actor_loop(self) -> None:
        super()._start_actor_loop()
        try:
            threading.Thread(target=self._run, name=self.path, daemon=True).start()
        except RuntimeError as error:
            # The system has no more threads: without an end it would stay in the registry and the paths for ever.
            self._finish(ExitReason.of(error))
            raise

    def _schedule_turn(self) -> None:
        self._wakeups.put(None)

    def _run(self) -> None:
        while self._exit is None:
            self._wakeups.get()
            self._turn(_NO_LIMIT)

    def _finish(self, reason: ExitReason) -> None:
        super()._finish(reason)
        # Wake the thread, so that it sees the end.
        self._wakeups.put(None)


_OF_PROXIES: Final = (ProxyCall, ProxyGetAttr, ProxySetAttr)
_NO_LIMIT: Final = sys.maxsize
_NEAR_THE_END: Final = 64


def _unregister(ref: pykka.ActorRef[Any]) -> None:
    """Take an actor out of Pykka's registry.

    Pykka looks for it from the front of a list, twice. A supervisor ends its children from the last to the first: with
    10,000 actors that is 0.4 ms each. So the end of the list is looked at first.
    """
    refs = ActorRegistry._actor_refs
    with ActorRegistry._actor_refs_lock:
        last = len(refs) - 1
        for place in range(last, max(-1, last - _NEAR_THE_END), -1):
            if refs[place] is ref:
                del refs[place]
                pykka_logger.debug("Unregistered %s", ref)
                return
    ActorRegistry.unregister(ref)


def living(ref: pykka.ActorRef[Any]) -> Actor | None:
    """The actor behind a ref, for its supervisor and its snapshot; None where it is gone."""
    # Pykka has no public way from a ref to its actor.
    actor = ref._actor_weakref()
    return actor if isinstance(actor, Actor) else None


def _answer(envelope: Envelope[Any], response: Any) -> None:
    if envelope.reply_to is None:
        return
    # Full: whoever fenced the actor off has answered already.
    with contextlib.suppress(queue.Full):
        envelope.reply_to.set(response)


def _answer_error(envelope: Envelope[Any], error: BaseException | None = None) -> None:
    if envelope.reply_to is None:
        return
    with contextlib.suppress(queue.Full):
        envelope.reply_to.set_exception(None if error is None else (type(error), error, None))
