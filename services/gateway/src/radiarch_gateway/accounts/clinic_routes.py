"""``/clinics``."""

from typing import Annotated

from fastapi import APIRouter, Path

from radiarch_gateway.accounts.clinics import all_clinics, change_clinic, create_clinic
from radiarch_gateway.accounts.views import CLINIC_PATTERN, ClinicChange, ClinicList, ClinicView, NewClinic
from radiarch_gateway.auth.guard import AccountsAdmin
from radiarch_gateway.bootstrap import GatewayDep
from radiarch_gateway.problems import problems

router = APIRouter(prefix="/clinics", tags=["accounts"])

ClinicName = Annotated[str, Path(pattern=CLINIC_PATTERN)]


@router.get("", summary="List clinics")
def list_clinics(gateway: GatewayDep, _: AccountsAdmin) -> ClinicList:
    """Every clinic of this server."""
    with gateway.database.reading() as session:
        return ClinicList(items=[ClinicView.model_validate(row) for row in all_clinics(session)])


@router.post("", summary="Make a clinic", status_code=201, responses=problems(409, 422))
def post_clinic(gateway: GatewayDep, caller: AccountsAdmin, asked: NewClinic) -> ClinicView:
    """A clinic, which has no users yet."""
    with gateway.database.writing() as session:
        return ClinicView.model_validate(create_clinic(session, asked, caller.id))


@router.patch("/{clinic_id}", summary="Change a clinic", responses=problems(404, 409, 422))
def patch_clinic(gateway: GatewayDep, caller: AccountsAdmin, clinic_id: ClinicName, asked: ClinicChange) -> ClinicView:
    """Rename it, or close it: its users and keys are let in no more, its work is kept."""
    with gateway.database.writing() as session:
        return ClinicView.model_validate(change_clinic(session, clinic_id, asked, caller.id))
