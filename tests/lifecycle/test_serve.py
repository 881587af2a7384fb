"""What does not go together is refused before anything is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from nbprod.cli.serve import command
from nbprod.errors import UsageError
from nbprod.lifecycle.serve import Wish, check_wish, is_loopback, read_canary


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"host": "0.0.0.0"}, "callers need keys"),
        ({"host": "192.0.2.1"}, "callers need keys"),
        ({"certificate": Path("cert.pem")}, "belong together"),
        ({"private_key": Path("key.pem")}, "belong together"),
        ({"api_keys": Path("missing.txt")}, "there is no such file of API keys"),
        ({"canary": "churn/4"}, "between 0% and 100%"),
        ({"canary": "churn/4=100%"}, "between 0% and 100%"),
        ({"canary": "churn/4=0.1"}, "between 0% and 100%"),
        ({"canary": "=10%"}, "between 0% and 100%"),
    ],
)
def test_options_that_do_not_go_together_are_refused_with_what_to_do(more: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check_wish(Wish(ref="churn/3", **more))  # type: ignore[arg-type]


def test_a_folder_that_holds_no_version_is_told_from_a_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nbprod build makes one"):
        check_wish(Wish(ref=str(tmp_path)))
    check_wish(Wish(ref="churn/3"))


def test_a_share_is_read_as_percent() -> None:
    assert read_canary("churn@challenger=12.5%") == ("churn@challenger", 0.125)


def test_only_addresses_of_this_machine_are_its_own() -> None:
    assert [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "127.8.8.8")] == [True] * 4
    assert [is_loopback(host) for host in ("0.0.0.0", "::", "example.org", "10.0.0.1")] == [False] * 4


def test_the_help_groups_every_option_once() -> None:
    said = CliRunner().invoke(command, ["--help"]).output
    names = [option.opts[0] for option in command.params if option.param_type_name == "option"]
    assert {name: said.count(f"\n  {name} ") for name in names} == dict.fromkeys(names, 1)
    groups = ("Where:", "Other versions:", "Callers:", "Prediction log:", "Limits:", "Options:")
    assert [said.index(group) for group in groups] == sorted(said.index(group) for group in groups)
    assert "NAME[/VERSION" not in said.partition("Options:")[2]
