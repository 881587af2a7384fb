"""The client that begins as soon as a kernel answers, with a kernel that answers from a list."""

from __future__ import annotations

import asyncio
from queue import Empty
from typing import Any

import pytest

from nbprod.executors import prompt
from nbprod.executors.prompt import prompt_manager

INFO = {"msg_type": "kernel_info_reply", "content": {"protocol_version": "5.3"}}
STATUS = {"msg_type": "status", "content": {"execution_state": "idle"}}


class Answers:
    """A kernel that sends what it is given on a channel, one message a question; None is silence."""

    def __init__(self, client: Any, *, shell: list[Any], output: list[Any], alive: bool = True) -> None:
        self.shell, self.output, self.alive, self.asked = shell, output, alive, 0
        client.kernel_info = self.ask
        client.get_shell_msg = lambda timeout: self.next(self.shell)
        client.get_iopub_msg = lambda timeout: self.next(self.output)
        client.is_alive = self.lives

    def ask(self) -> str:
        """Count a question."""
        self.asked += 1
        return str(self.asked)

    async def next(self, channel: list[Any]) -> Any:
        """Take the next message of a channel."""
        message = channel.pop(0) if channel else None
        if message is None:
            raise Empty
        return message

    async def lives(self) -> bool:
        """Say whether the process is there."""
        return self.alive


@pytest.fixture
def client() -> Any:
    made = prompt_manager()().client()
    yield made
    made.stop_channels()


def wait(client: Any, timeout: float = 5.0) -> None:
    asyncio.run(client.wait_for_ready(timeout=timeout))


def test_one_answer_and_one_output_are_enough(client: Any) -> None:
    kernel = Answers(client, shell=[INFO], output=[STATUS, STATUS])
    wait(client)
    assert (kernel.asked, kernel.output) == (1, [STATUS])


def test_a_kernel_that_is_still_starting_is_asked_again(client: Any) -> None:
    kernel = Answers(client, shell=[None, INFO], output=[STATUS])
    wait(client)
    assert kernel.asked == 2


def test_a_kernel_whose_outputs_do_not_arrive_yet_is_asked_again(client: Any) -> None:
    kernel = Answers(client, shell=[INFO, INFO], output=[None, STATUS])
    wait(client)
    assert kernel.asked == 2


def test_a_kernel_that_died_is_not_waited_for(client: Any) -> None:
    Answers(client, shell=[], output=[], alive=False)
    with pytest.raises(RuntimeError, match="it died before it answered"):
        wait(client)


def test_a_kernel_that_never_answers_is_given_up(client: Any) -> None:
    Answers(client, shell=[], output=[])
    with pytest.raises(RuntimeError, match=r"it did not answer within 0\.05 seconds"):
        wait(client, timeout=0.05)


def test_an_ending_kernel_is_looked_at_more_often_than_ten_times_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []

    class Ending(prompt_manager()):  # type: ignore[misc]
        async def _async_is_alive(self) -> bool:
            looks.append(1)
            return len(looks) < 3

    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    asyncio.run(Ending()._async_wait(pollinterval=0.1))
    assert waits == [prompt.GLANCE, prompt.GLANCE]
