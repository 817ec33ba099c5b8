"""The first administrator, and the command line for when nobody can log in."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from radiarch_common.settings import Settings
from radiarch_gateway.accounts.first_admin import first_admin
from radiarch_gateway.accounts.users import user_named
from radiarch_gateway.admin.commands import app as admin
from radiarch_gateway.auth.passwords import is_password
from radiarch_gateway.db import Database
from typer.testing import CliRunner


def test_the_first_start_makes_one_administrator(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The password is in the file, for its owner alone, and nowhere else; a second start makes nobody."""
    file = tmp_path / "data" / "first-admin-password"
    url = f"sqlite:///{tmp_path / 'radiarch.db'}"
    database = Database(url)
    database.migrate()
    first_admin(Settings(authentication="none", first_admin_file=file), database)
    first_admin(Settings(), database)
    assert not file.exists()
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(first_admin, [Settings(first_admin_file=file)] * 2, [database] * 2))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    name, password = file.read_text().split()
    told = capfd.readouterr()
    assert password not in told.out + told.err
    file.unlink()
    first_admin(Settings(first_admin_file=file), database)
    assert not file.exists()
    database.close()

    shown = CliRunner().invoke(admin, ["list-users"], env={"RADIARCH_DATABASE_URL": url})
    assert shown.stdout.split("\t")[:4] == [name, "main", "admin,physicist", "active"]


def test_the_command_line_administers_without_a_gateway(tmp_path: Path) -> None:
    """Fails when what it says it did is not in the database; what is refused is said, with status 1."""

    def run(*words: str, fails: bool = False) -> str:
        shown = CliRunner().invoke(admin, [f"--data={tmp_path}", *words])
        assert shown.exit_code == int(fails), shown.output
        return shown.stderr if fails else shown.stdout

    assert "There is no database" in run("list-users", fails=True)
    (tmp_path / "radiarch.db").touch()
    _, password = run("create-user", "Boss", "--role", "admin").split()
    run("create-clinic", "north", "North")
    run("create-user", "ana", "--role", "physicist", "--clinic", "north", "--name", "Ana")
    assert "already" in run("create-user", "ANA", "--role", "admin", fails=True)
    assert "last administrator" in run("deactivate", "boss", fails=True)
    assert "no user" in run("unlock", "nobody", fails=True)
    run("set-roles", "ana", "--role", "admin", "--role", "clinician")
    run("reset-totp", "ana")
    run("deactivate", "boss")
    assert run("list-users").splitlines() == [
        "ana\tnorth\tadmin,clinician\tactive\tAna",
        "boss\tmain\tadmin\tinactive\tBoss",
    ]
    assert run("list-clinics").splitlines() == ["main\tactive\tMain", "north\tactive\tNorth"]
    key = run("create-key", "hook", "--scope", "plans:write", "--days", "30", "--clinic", "north").strip()
    key_id = key.split("_")[1]
    assert "takes a person" in run("create-key", "x", "--scope", "self", "--days", "1", fails=True)
    run("revoke-key", key_id)
    assert run("list-keys").startswith(f"{key_id}\tnorth\tplans:write\trevoked\t")
    name, another = run("reset-password", "boss").split()
    database = Database(f"sqlite:///{tmp_path / 'radiarch.db'}")
    with database.reading() as session:
        hashed = user_named(session, name).password_hash
    database.close()
    assert is_password(another, hashed)
    assert another != password
