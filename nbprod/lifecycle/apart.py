"""Do something in a forked child and take its result: what it imported is gone with it, and the parent stays small."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable
from typing import TypeVar

from nbprod.errors import NbprodError

T = TypeVar("T")


def apart(function: Callable[[], T], *, meanwhile: Callable[[], None]) -> T:
    """What a function returns or raises, called in a child of this process, which may have begun no threads before.

    Args:
        meanwhile: what this process does until the child is done.

    Only for results and errors that can be pickled. Where there is no fork the function is called here.
    """
    if not hasattr(os, "fork"):
        meanwhile()
        return function()
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        _answer(function, writing)
    os.close(writing)
    meanwhile()
    with os.fdopen(reading, "rb") as pipe:
        content = pipe.read()
    _, status = os.waitpid(child, 0)
    if not content:
        raise ChildProcessError(f"a child of this process ended with {os.waitstatus_to_exitcode(status)}")
    error, result = pickle.loads(content)
    if error is not None:
        raise error
    found: T = result
    return found


def _answer(function: Callable[[], object], writing: int) -> None:
    code = 1
    try:
        try:
            content = pickle.dumps((None, function()))
        except NbprodError as error:
            content = pickle.dumps((error, None))
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(content)
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(code)
