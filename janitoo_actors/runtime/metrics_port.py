"""`metrics_port`: whether the figures of a server are given by HTTP. What that needs is loaded only where it is on."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

import structlog

from janitoo_actors.errors import said

if TYPE_CHECKING:
    from janitoo_actors.runtime.metrics import Source
    from janitoo_actors.runtime.metrics_http import MetricsHttp

HOST: Final = "127.0.0.1"
_LIBRARY: Final = "prometheus_client"
_MISSING: Final = f"{_LIBRARY} is not installed; install it with: pip install 'janitoo-actors[metrics]'"


class Metrics:
    """Has a port listened on, or none, as the configuration says it. Any plain thread."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._log = structlog.get_logger().bind(path="/metrics")
        self._lock = threading.Lock()
        self._http: MetricsHttp | None = None
        self._has_ended = False

    @property
    def port(self) -> int:
        """The port that is listened on; 0 where none is."""
        return self._http.port if self._http is not None else 0

    def apply(self, port: int) -> None:
        """Listen on this port, or on none where it is 0; nothing where it is so. What goes wrong is logged."""
        with self._lock:
            if port == self.port or self._has_ended:
                return
            if self._http is not None:
                self._http.end()
                self._http = None
                self._log.info("metrics_ended")
            if port:
                self._listen(port)

    def end(self) -> None:
        """Listen no more, for good. Does not wait for the thread, which may be at a client."""
        with self._lock:
            self._has_ended = True
            if self._http is not None:
                self._http.end()
                self._http = None

    def _listen(self, port: int) -> None:
        try:
            from janitoo_actors.runtime.metrics_http import MetricsHttp

            self._http = MetricsHttp(self._source, HOST, port, self._log)
        except ImportError as error:
            missing = _MISSING if (error.name or "").partition(".")[0] == _LIBRARY else said(error)
            self._log.error("metrics_unavailable", port=port, error=missing)
        except (OSError, RuntimeError) as error:
            # It is in use, most likely; or there are no threads.
            hint = "set metrics_port in [system] to a port that is free, and reload"
            self._log.error("metrics_unavailable", port=port, error=said(error), hint=hint)
        else:
            self._log.info("metrics_served", url=f"http://{HOST}:{port}/metrics")
