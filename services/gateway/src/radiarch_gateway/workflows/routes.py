"""``/workflows``: what can be asked for."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field
from radiarch_common.catalogue import WorkflowTemplate

from radiarch_gateway.auth.guard import WorkflowsReader
from radiarch_gateway.bootstrap import GatewayDep
from radiarch_gateway.problems import problems

router = APIRouter(prefix="/workflows", tags=["workflows"])


class WorkflowView(BaseModel):
    """A workflow with every number it brings."""

    id: str
    version: str
    sha256: str
    title: str
    description: str
    parameters: WorkflowTemplate = Field(description="What is used unless a request overrides it.")
    overrides_schema: dict[str, Any] = Field(description="JSON Schema of the overrides it takes.")


class Workflows(BaseModel):
    """Every workflow."""

    workflows: list[WorkflowView]


@router.get("", summary="List workflows", responses=problems(503))
async def list_workflows(gateway: GatewayDep, _: WorkflowsReader) -> Workflows:
    """What the planners offer now."""
    catalogue = await gateway.catalogues.current()
    views = [
        WorkflowView(
            id=entry.template.id,
            version=entry.template.version,
            sha256=entry.sha256,
            title=entry.template.title,
            description=entry.template.description,
            parameters=entry.template,
            overrides_schema=entry.overrides_schema,
        )
        for entry in catalogue.workflows
    ]
    return Workflows(workflows=views)
