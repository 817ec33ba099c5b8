"""Erasures, leases, use of the object store; what a job's stages named in the object store."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    at = sa.DateTime(timezone=True)
    op.create_table(
        "erasures",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("clinic_id", sa.String(64), nullable=False),
        sa.Column("asked_by", sa.String(200), nullable=False),
        sa.Column("created_at", at, nullable=False),
        sa.Column("finished_at", at, nullable=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("what", sa.String(16), nullable=False),
        sa.Column("subject", sa.String(128), nullable=True),
        sa.Column("pacs", sa.Boolean(), nullable=False),
        sa.Column("plan_ids", sa.JSON(), nullable=True),
        sa.Column("case_keys", sa.JSON(), nullable=False),
        sa.Column("cases_kept", sa.Integer(), nullable=False),
        sa.Column("waiting_for", sa.String(200), nullable=True),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name="fk_erasures_clinic_id_clinics"),
        sa.PrimaryKeyConstraint("id", name="pk_erasures"),
    )
    op.create_index("ix_erasures_clinic_id", "erasures", ["clinic_id"])
    op.create_index("ix_erasures_state", "erasures", ["state"])
    op.create_table(
        "leases",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("holder", sa.String(64), nullable=False),
        sa.Column("until", at, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_leases"),
    )
    op.create_table(
        "object_use",
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("objects", sa.Integer(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("counted_at", at, nullable=False),
        sa.PrimaryKeyConstraint("kind", name="pk_object_use"),
    )
    with op.batch_alter_table("jobs") as jobs:
        jobs.add_column(sa.Column("case_key", sa.String(512), nullable=True))
        jobs.add_column(sa.Column("result_key", sa.String(512), nullable=True))
        jobs.create_index("ix_jobs_case_key", ["case_key"])


def downgrade() -> None:
    with op.batch_alter_table("jobs") as jobs:
        jobs.drop_index("ix_jobs_case_key")
        jobs.drop_column("result_key")
        jobs.drop_column("case_key")
    for table in ("object_use", "leases", "erasures"):
        op.drop_table(table)
