"""A request that is refused: what is wrong, where in it, and what was expected; never the values themselves."""

from __future__ import annotations


class Refused(Exception):
    """The answer to a request that cannot be answered.

    Args:
        message: one sentence for the caller.
        status: of HTTP.
        path: JSON path of what is wrong, such as ``$.records[0].age``; empty if it is about the whole request.
        expected: what should stand there, such as ``number``.
        headers: further headers of the answer.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        path: str = "",
        expected: str = "",
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.path = path
        self.expected = expected
        self.headers = headers

    def to_dict(self) -> dict[str, str]:
        """The body of the answer; what is not known is left out."""
        found = {"error": self.message, "path": self.path, "expected": self.expected}
        return {name: value for name, value in found.items() if value}


def busy(message: str) -> Refused:
    """The service cannot answer now, and may in a second."""
    return Refused(message, status=503, headers=(("retry-after", "1"),))
