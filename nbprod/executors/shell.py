"""Whether a cell's last command is a shell command, whose failure IPython leaves unsaid."""

from __future__ import annotations


def ends_in_shell_escape(source: str) -> bool:
    """Whether the last statement of a cell is ``! command``.

    ``!!``, ``%sx`` and ``name = !command`` are not meant: IPython keeps no exit code of those. The cell is translated
    by IPython itself, so that ``!`` in a string is not taken for one.
    """
    if "!" not in source:
        return False
    import ast

    from IPython.core.inputtransformer2 import TransformerManager

    try:
        body = ast.parse(TransformerManager().transform_cell(source)).body  # type: ignore[no-untyped-call]
    except SyntaxError:
        return False
    if not body or not isinstance(body[-1], ast.Expr):
        return False
    call = body[-1].value
    return (
        isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == "system"
        and isinstance(call.func.value, ast.Call)
        and isinstance(call.func.value.func, ast.Name)
        and call.func.value.func.id == "get_ipython"
    )
