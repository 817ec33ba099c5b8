"""Job state as a fold of its events, decisions ahead of it, queues, workflows of plans, tombstones."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    at = sa.DateTime(timezone=True)
    op.create_table(
        "tombstones",
        sa.Column("job_id", sa.String(40), nullable=False),
        sa.Column("erased_at", at, nullable=False),
        sa.PrimaryKeyConstraint("job_id", name="pk_tombstones"),
    )
    with op.batch_alter_table("jobs") as jobs:
        jobs.add_column(sa.Column("unattended", sa.Integer(), nullable=False, server_default="0"))
        jobs.add_column(sa.Column("queued_for", sa.String(16), nullable=True))
        jobs.add_column(sa.Column("queued_at", at, nullable=True))
        jobs.add_column(sa.Column("ahead", sa.JSON(), nullable=False, server_default="[]"))
        jobs.add_column(sa.Column("folded", sa.JSON(), nullable=True))
        jobs.create_index("ix_jobs_queued_for", ["queued_for"])
    with op.batch_alter_table("jobs") as jobs:
        for name in ("unattended", "ahead"):
            jobs.alter_column(name, server_default=None)
    op.execute("UPDATE jobs SET queued_for = 'importer', queued_at = created_at WHERE state = 'queued'")
    with op.batch_alter_table("plans") as plans:
        plans.add_column(sa.Column("workflow", sa.String(64), nullable=False, server_default=""))
        plans.create_index("ix_plans_workflow", ["workflow"])
    _name_workflows()
    with op.batch_alter_table("plans") as plans:
        plans.alter_column("workflow", server_default=None)


def _name_workflows() -> None:
    plans = sa.table(
        "plans", sa.column("id", sa.String()), sa.column("resolved", sa.JSON()), sa.column("workflow", sa.String())
    )
    connection = op.get_bind()
    for plan_id, resolved in connection.execute(sa.select(plans.c.id, plans.c.resolved)).all():
        name = resolved.get("workflow", {}).get("id", "")
        connection.execute(sa.update(plans).where(plans.c.id == plan_id).values(workflow=name))


def downgrade() -> None:
    with op.batch_alter_table("plans") as plans:
        plans.drop_index("ix_plans_workflow")
        plans.drop_column("workflow")
    with op.batch_alter_table("jobs") as jobs:
        jobs.drop_index("ix_jobs_queued_for")
        for name in ("folded", "ahead", "queued_at", "queued_for", "unattended"):
            jobs.drop_column(name)
    op.drop_table("tombstones")
