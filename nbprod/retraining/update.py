"""The ``update`` section of a pipeline: a stage goes on from the version before, perhaps with rows of earlier data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nbprod.document import describe, document_of
from nbprod.entities import Fact
from nbprod.errors import nearest

KEYS = ("from", "stage", "param", "replay")
"""The legal keys of the section."""

PARAM = "parent"
"""The parameter of the stage that gets the parent's folder, where the section names no other."""

REPLAY = "replay"
"""The parameter of the stage that gets the file of earlier rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdatePolicy(Fact):
    """What a stage gets.

    Attributes:
        alias: of the version that it goes on from (``from`` in the YAML).
        stage, param: the parameter that gets that version's folder; None where no version has the alias.
        replay: rows of earlier training sets that the stage's parameter ``replay`` gets as a file; 0 for none.
    """

    stage: str
    param: str = PARAM
    alias: str = "champion"
    replay: int = 0


def given_of(section: Mapping[str, Any] | None) -> tuple[str, ...]:
    """``stage.parameter`` of what an entry's ``update`` section gave to its stage: the parent, and rows for replay."""
    if not section:
        return ()
    return tuple(f"{section['stage']}.{name}" for name in (section.get("param", PARAM), REPLAY))


def read_update(
    section: Any, inputs: Mapping[str, Mapping[str, Any]], *, file: str | None = None, text: str = ""
) -> UpdatePolicy | None:
    """The policy that a pipeline sets; None without a section.

    Args:
        section: ``{from: champion, stage: train, param: parent, replay: 5000}``.
        inputs: stage -> its inputs and outputs, which the section may not name.
        file, text: the YAML file, so that an error names its line.

    Raises:
        PipelineError: a key is unknown, or a value is of another kind or names no stage.
    """
    if section is None:
        return None
    read = document_of(text, file=file)
    data = read.mapping(section, "update")
    read.only(data, KEYS, "update")
    values = {}
    for key, default in (("from", "champion"), ("stage", ""), ("param", PARAM)):
        value = data.get(key, default)
        if not isinstance(value, str) or not value.strip():
            needed = "update needs `stage:` with the stage that goes on from the version before."
            kind = "an alias" if key == "from" else "a name"
            said = (
                needed if key == "stage" and key not in data else f"update.{key} must be {kind}, not {describe(value)}."
            )
            raise read.error(said, "update", key)
        values[key] = value.strip()
    if values["stage"] not in inputs:
        hint = nearest(values["stage"], inputs)
        raise read.error(f"update.stage names no stage: '{values['stage']}'.{hint}", "update", "stage")
    replay = data.get("replay", 0)
    if isinstance(replay, bool) or not isinstance(replay, int) or replay < 0:
        raise read.error(f"update.replay must be a number of rows, not {describe(replay)}.", "update", "replay")
    for name in (values["param"], *([REPLAY] if replay else [])):
        if name in inputs[values["stage"]]:
            raise read.error(
                f"the stage '{values['stage']}' sets '{name}' itself: take it away there, update gives it.", "update"
            )
    return UpdatePolicy(stage=values["stage"], param=values["param"], alias=values["from"], replay=replay)
