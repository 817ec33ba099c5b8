"""``/keys``."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from radiarch_gateway.accounts.keys import all_keys, create_key, key_view, revoke_key
from radiarch_gateway.accounts.views import KeyList, KeyOnce, KeyView, NewKey
from radiarch_gateway.auth.guard import AccountsAdmin
from radiarch_gateway.bootstrap import GatewayDep
from radiarch_gateway.ids import ID_PATTERN
from radiarch_gateway.problems import problems

router = APIRouter(prefix="/keys", tags=["accounts"])

KeyId = Annotated[str, Path(pattern=ID_PATTERN)]


@router.get("", summary="List API keys")
def list_keys(gateway: GatewayDep, _: AccountsAdmin) -> KeyList:
    """Keys of every clinic, newest first, without the keys themselves."""
    with gateway.database.reading() as session:
        return KeyList(items=[key_view(row) for row in all_keys(session)])


@router.post("", summary="Make an API key", status_code=201, responses=problems(422))
def post_key(gateway: GatewayDep, caller: AccountsAdmin, asked: NewKey, response: Response) -> KeyOnce:
    """A key for a service of one clinic, shown here and never again."""
    response.headers["Cache-Control"] = "no-store"
    with gateway.database.writing() as session:
        row, key = create_key(session, asked, caller.id)
        return KeyOnce(key=key_view(row), secret=key)


@router.delete("/{key_id}", summary="Revoke an API key", responses=problems(404, 422))
def delete_key(gateway: GatewayDep, caller: AccountsAdmin, key_id: KeyId) -> KeyView:
    """The key stops at once; what it did stays written."""
    with gateway.database.writing() as session:
        return key_view(revoke_key(session, key_id, caller.id))
