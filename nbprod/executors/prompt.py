"""A kernel that is used as soon as it answers, and known to have ended as soon as it has.

jupyter_client waits until the output channel was silent for 0.2 s, so that nobody takes an output of its own questions
for one of theirs, and looks ten times a second whether a kernel has ended. nbclient looks at which message an output
answers, so it need not wait; together that is a quarter of the time of a short notebook.
"""

from __future__ import annotations

import math
import time
from functools import cache
from queue import Empty
from typing import Any

PATIENCE = 1.0
"""Seconds after which a kernel that does not answer is asked again."""

GLANCE = 0.01
"""Seconds between two looks at a kernel that is about to end."""


@cache
def prompt_manager() -> type[Any]:
    """A `jupyter_client.AsyncKernelManager` whose clients do not wait longer than they must."""
    from jupyter_client.asynchronous.client import AsyncKernelClient
    from jupyter_client.manager import AsyncKernelManager

    class PromptClient(AsyncKernelClient):
        """See the module."""

        async def _async_wait_for_ready(self, timeout: float | None = None) -> None:
            """Wait until the kernel answers and its outputs arrive; RuntimeError if it dies or takes too long."""
            deadline = math.inf if timeout is None else time.monotonic() + timeout
            while time.monotonic() < deadline:
                self.kernel_info()
                try:
                    reply = await self.get_shell_msg(timeout=PATIENCE)
                    if reply["msg_type"] == "kernel_info_reply":
                        await self.get_iopub_msg(timeout=PATIENCE)  # subscribing takes effect some time later
                        self._handle_kernel_info_reply(reply)
                        return
                except Empty:
                    pass
                if not await self.is_alive():
                    raise RuntimeError("it died before it answered")
            raise RuntimeError(f"it did not answer within {timeout:g} seconds")

        wait_for_ready = _async_wait_for_ready

    class PromptManager(AsyncKernelManager):
        """See the module."""

        async def _async_wait(self, pollinterval: float = GLANCE) -> None:
            """Wait until the kernel's process has ended."""
            await super()._async_wait(pollinterval=min(pollinterval, GLANCE))

        def client(self, **options: Any) -> Any:
            """A client for the kernel."""
            self.client_factory = PromptClient
            return super().client(**options)

    return PromptManager
