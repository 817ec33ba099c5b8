"""Clinics, users, sessions, API keys, the server's secrets; plans belong to a clinic.

Plans from before belong to the clinic ``main``.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    at = sa.DateTime(timezone=True)
    clinics = op.create_table(
        "clinics",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", at, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_clinics"),
    )
    op.execute(sa.insert(clinics).values(id="main", name="Main", active=True, created_at=sa.func.current_timestamp()))
    op.create_table(
        "users",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("username", sa.String(100), nullable=False),
        sa.Column("display_name", sa.String(200), nullable=False),
        sa.Column("clinic_id", sa.String(64), nullable=False),
        sa.Column("roles", sa.JSON(), nullable=False),
        sa.Column("password_hash", sa.String(100), nullable=False),
        sa.Column("must_change_password", sa.Boolean(), nullable=False),
        sa.Column("totp_secret", sa.String(64), nullable=True),
        sa.Column("totp_confirmed", sa.Boolean(), nullable=False),
        sa.Column("totp_last_step", sa.BigInteger(), nullable=False),
        sa.Column("failed_logins", sa.Integer(), nullable=False),
        sa.Column("locked_until", at, nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", at, nullable=False),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name="fk_users_clinic_id_clinics"),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("username", name="uq_users_username"),
    )
    op.create_index("ix_users_clinic_id", "users", ["clinic_id"])
    op.create_table(
        "sessions",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("user_id", sa.String(40), nullable=False),
        sa.Column("created_at", at, nullable=False),
        sa.Column("expires_at", at, nullable=False),
        sa.Column("revoked_at", at, nullable=True),
        sa.Column("revoked_why", sa.String(100), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_sessions_user_id_users"),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
    )
    op.create_index("ix_sessions_user_id", "sessions", ["user_id"])
    op.create_table(
        "refresh_tokens",
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("session_id", sa.String(40), nullable=False),
        sa.Column("created_at", at, nullable=False),
        sa.Column("expires_at", at, nullable=False),
        sa.Column("used_at", at, nullable=True),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name="fk_refresh_tokens_session_id_sessions"),
        sa.PrimaryKeyConstraint("sha256", name="pk_refresh_tokens"),
    )
    op.create_index("ix_refresh_tokens_session_id", "refresh_tokens", ["session_id"])
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("clinic_id", sa.String(64), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("created_by", sa.String(200), nullable=False),
        sa.Column("created_at", at, nullable=False),
        sa.Column("expires_at", at, nullable=False),
        sa.Column("revoked_at", at, nullable=True),
        sa.Column("last_used_at", at, nullable=True),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name="fk_api_keys_clinic_id_clinics"),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("sha256", name="uq_api_keys_sha256"),
    )
    op.create_index("ix_api_keys_clinic_id", "api_keys", ["clinic_id"])
    op.create_table(
        "secrets",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("value", sa.String(200), nullable=False),
        sa.Column("created_at", at, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_secrets"),
    )
    with op.batch_alter_table("plans") as plans:
        plans.add_column(sa.Column("clinic_id", sa.String(64), nullable=False, server_default="main"))
        plans.add_column(sa.Column("asked_by", sa.String(200), nullable=False, server_default="local"))
        plans.create_foreign_key("fk_plans_clinic_id_clinics", "clinics", ["clinic_id"], ["id"])
        plans.drop_constraint("uq_plans_idempotency_key", type_="unique")
        plans.create_unique_constraint("uq_plans_clinic_id", ["clinic_id", "idempotency_key"])
        plans.create_index("ix_plans_clinic_id", ["clinic_id"])
    with op.batch_alter_table("plans") as plans:
        plans.alter_column("clinic_id", server_default=None)
        plans.alter_column("asked_by", server_default=None)


def downgrade() -> None:
    with op.batch_alter_table("plans") as plans:
        plans.drop_index("ix_plans_clinic_id")
        plans.drop_constraint("uq_plans_clinic_id", type_="unique")
        plans.drop_constraint("fk_plans_clinic_id_clinics", type_="foreignkey")
        plans.create_unique_constraint("uq_plans_idempotency_key", ["idempotency_key"])
        plans.drop_column("asked_by")
        plans.drop_column("clinic_id")
    for table in ("secrets", "api_keys", "refresh_tokens", "sessions", "users", "clinics"):
        op.drop_table(table)
