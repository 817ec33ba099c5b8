"""Watches over PACS, rules with their versions and signatures, what they decided and planned."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

AT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _watches()
    _rules()


def _watches() -> None:
    op.create_table(
        "watches",
        sa.Column("pacs", sa.String(64), nullable=False),
        sa.Column("cursor", sa.BigInteger(), nullable=True),
        sa.Column("mark", sa.String(200), nullable=True),
        sa.Column("holder", sa.String(40), nullable=True),
        sa.Column("held_until", AT, nullable=True),
        sa.Column("woken", sa.Boolean(), nullable=False),
        sa.Column("next_look_at", AT, nullable=False),
        sa.Column("looked_at", AT, nullable=True),
        sa.Column("hinted_at", AT, nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.String(500), nullable=True),
        sa.Column("last_error_at", AT, nullable=True),
        sa.PrimaryKeyConstraint("pacs", name="pk_watches"),
    )
    op.create_table(
        "changed_studies",
        sa.Column("pacs", sa.String(64), nullable=False),
        sa.Column("orthanc_id", sa.String(64), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.Column("look_at", AT, nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("why", sa.String(500), nullable=True),
        sa.PrimaryKeyConstraint("pacs", "orthanc_id", name="pk_changed_studies"),
    )
    op.create_index("ix_changed_studies_look_at", "changed_studies", ["look_at"])
    op.create_table(
        "heard_hooks",
        sa.Column("pacs", sa.String(64), nullable=False),
        sa.Column("signature", sa.String(64), nullable=False),
        sa.Column("heard_at", AT, nullable=False),
        sa.PrimaryKeyConstraint("pacs", "signature", name="pk_heard_hooks"),
    )
    op.create_index("ix_heard_hooks_heard_at", "heard_hooks", ["heard_at"])


def _rules() -> None:
    op.create_table(
        "rules",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("clinic_id", sa.String(64), nullable=False),
        sa.Column("created_at", AT, nullable=False),
        sa.Column("created_by", sa.String(200), nullable=False),
        sa.Column("active_version", sa.Integer(), nullable=True),
        sa.Column("deactivated_at", AT, nullable=True),
        sa.Column("deactivated_by", sa.String(200), nullable=True),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name="fk_rules_clinic_id_clinics"),
        sa.PrimaryKeyConstraint("id", name="pk_rules"),
    )
    op.create_index("ix_rules_clinic_id", "rules", ["clinic_id"])
    op.create_table(
        "rule_versions",
        sa.Column("rule_id", sa.String(40), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("created_at", AT, nullable=False),
        sa.Column("created_by", sa.String(200), nullable=False),
        sa.ForeignKeyConstraint(["rule_id"], ["rules.id"], name="fk_rule_versions_rule_id_rules"),
        sa.PrimaryKeyConstraint("rule_id", "version", name="pk_rule_versions"),
    )
    op.create_table(
        "rule_signatures",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("rule_id", sa.String(40), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("pinned", sa.JSON(), nullable=False),
        sa.Column("signed_at", AT, nullable=False),
        sa.Column("signed_by", sa.String(200), nullable=False),
        sa.ForeignKeyConstraint(["rule_id"], ["rules.id"], name="fk_rule_signatures_rule_id_rules"),
        sa.PrimaryKeyConstraint("id", name="pk_rule_signatures"),
    )
    op.create_index("ix_rule_signatures_rule_id", "rule_signatures", ["rule_id"])
    op.create_table(
        "rule_decisions",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("clinic_id", sa.String(64), nullable=False),
        sa.Column("rule_id", sa.String(40), nullable=False),
        sa.Column("rule_version", sa.Integer(), nullable=False),
        sa.Column("pacs", sa.String(64), nullable=False),
        sa.Column("study_instance_uid", sa.String(64), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("why", sa.JSON(), nullable=False),
        sa.Column("plan_id", sa.String(40), nullable=True),
        sa.Column("decided_at", AT, nullable=False),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name="fk_rule_decisions_clinic_id_clinics"),
        sa.ForeignKeyConstraint(["rule_id"], ["rules.id"], name="fk_rule_decisions_rule_id_rules"),
        sa.PrimaryKeyConstraint("id", name="pk_rule_decisions"),
    )
    for column in ("clinic_id", "rule_id", "study_instance_uid"):
        op.create_index(f"ix_rule_decisions_{column}", "rule_decisions", [column])
    op.create_table(
        "auto_plans",
        sa.Column("content", sa.String(64), nullable=False),
        sa.Column("rule_id", sa.String(40), nullable=False),
        sa.Column("plan_id", sa.String(40), nullable=True),
        sa.Column("created_at", AT, nullable=False),
        sa.ForeignKeyConstraint(["rule_id"], ["rules.id"], name="fk_auto_plans_rule_id_rules"),
        sa.PrimaryKeyConstraint("content", name="pk_auto_plans"),
    )


def downgrade() -> None:
    for table in (
        "auto_plans",
        "rule_decisions",
        "rule_signatures",
        "rule_versions",
        "rules",
        "heard_hooks",
        "changed_studies",
        "watches",
    ):
        op.drop_table(table)
