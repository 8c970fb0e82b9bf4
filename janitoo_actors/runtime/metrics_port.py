"""`metrics_port`: whether the figures of a server are given by HTTP. What that needs is loaded only where it is on."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

import structlog

from janitoo_actors.configuration.extras import install
from janitoo_actors.errors import said
from janitoo_actors.runtime.repeats import Repeats

if TYPE_CHECKING:
    from janitoo_actors.runtime.metrics import Source
    from janitoo_actors.runtime.metrics_http import MetricsHttp
    from supervisors.wheel import TimerHandle, TimerWheel

HOST: Final = "127.0.0.1"
RETRY: Final = 30.0
"""Seconds until a port that could not be had is tried again: who has it may be the server of before."""
_LIBRARY: Final = "prometheus_client"
_MISSING: Final = f"{_LIBRARY} is not installed; install it with: {install('metrics')}"


class Metrics:
    """Has a port listened on, or none, as the configuration says it. Any plain thread.

    Attributes:
        problem: why none is listened on though it should be; empty where all is well.
    """

    def __init__(self, source: Source, wheel: TimerWheel) -> None:
        self._source = source
        self._wheel = wheel
        self._log = structlog.get_logger().bind(path="/metrics")
        self._repeats = Repeats(self._log)
        self._wanted = 0
        self._retry: TimerHandle | None = None
        self._lock = threading.Lock()
        self._http: MetricsHttp | None = None
        self._has_ended = False
        self.problem = ""

    @property
    def port(self) -> int:
        """The port that is listened on; 0 where none is."""
        return self._http.port if self._http is not None else 0

    def apply(self, port: int) -> None:
        """Listen on this port, or on none where it is 0; nothing where it is so. What goes wrong is logged."""
        with self._lock:
            self._wanted = port
            self._bring_about()

    def _bring_about(self) -> None:
        if self._retry is not None:
            self._wheel.cancel(self._retry)
            self._retry = None
        if self._wanted == self.port or self._has_ended:
            return
        if self._http is not None:
            self._http.end()
            self._http = None
            self._log.info("metrics_ended")
        self.problem = ""
        if self._wanted:
            self._listen(self._wanted)

    def end(self) -> None:
        """Listen no more, for good. Does not wait for the thread, which may be at a client."""
        with self._lock:
            self._has_ended = True
            if self._retry is not None:
                self._wheel.cancel(self._retry)
            if self._http is not None:
                self._http.end()
                self._http = None

    def _listen(self, port: int) -> None:
        try:
            from janitoo_actors.runtime.metrics_http import MetricsHttp

            self._http = MetricsHttp(self._source, HOST, port, self._log)
        except ImportError as error:
            self.problem = _MISSING if (error.name or "").partition(".")[0] == _LIBRARY else said(error)
            self._log.error("metrics_unavailable", port=port, error=self.problem)
        except (OSError, RuntimeError) as error:
            # It is in use, most likely; or there are no threads.
            hint = f"set metrics_port in [system] to a free port, and reload; or wait: it is tried every {RETRY:g} s"
            self.problem = f"port {port}: {said(error)}"
            self._repeats.failed(
                "listen", "metrics_unavailable", said(error), level=logging.ERROR, port=port, hint=hint
            )
            self._retry = self._wheel.schedule(RETRY, self._try_again)
        else:
            self._repeats.forget("listen")
            self._log.info("metrics_served", url=f"http://{HOST}:{port}/metrics")

    def _try_again(self) -> None:
        # On a thread of its own: timers wait for nobody, and another one may be at it.
        threading.Thread(target=self._retried, name="metrics retry", daemon=True).start()

    def _retried(self) -> None:
        with self._lock:
            # What is wanted by now: a reload may have come between.
            self._bring_about()
