"""Imported by the server process that forks the children of `ProcessActor`s, and by nobody else.

What is sent to the whole group, or by systemd to the whole unit, is for the application, which ends its children in
order. A server process that took it too would end first, and take all of them with it.
"""

import signal

for _number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(_number, signal.SIG_IGN)
