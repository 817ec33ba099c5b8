"""How far the event stream was counted, written beside what was counted; messages for the bus with their address."""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

JOBS = {"job": ("import", "importer"), "plan": ("plan", "planner"), "export": ("export", "exporter")}


def upgrade() -> None:
    op.create_table(
        "stream_places",
        sa.Column("stream", sa.String(32), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("stream", name="pk_stream_places"),
    )
    with op.batch_alter_table("outbox", table_kwargs={"sqlite_autoincrement": True}) as outbox:
        outbox.add_column(sa.Column("subject", sa.String(200), nullable=True))
        outbox.add_column(sa.Column("message_id", sa.String(200), nullable=True))
    _address()


def _address() -> None:
    """What waits for the bus at this moment, by the rules of ``topology.py`` and ``mailbox.py``."""
    outbox = sa.table("outbox", *map(sa.column, ("id", "errand", "payload", "subject", "message_id")))
    connection = op.get_bind()
    for row in connection.execute(sa.select(outbox.c.id, outbox.c.errand, outbox.c.payload)).all():
        if row.errand == "cancel":
            continue
        subject, message_id = _place(row.errand, json.loads(row.payload))
        connection.execute(outbox.update().where(outbox.c.id == row.id).values(subject=subject, message_id=message_id))


def _place(errand: str, said: dict[str, Any]) -> tuple[str, str]:
    job, run = said["job_id"], said["run"]
    if errand == "event":
        stage, kind = said["stage"], said["kind"]
        return f"events.{job}.{stage}.{kind}", f"{job}:{run}:{stage}:{said['attempt']}:gateway-{kind}"
    verb, stage = JOBS[errand]
    return f"jobs.{verb}.{job}", f"{job}:{run}:{stage}"


def downgrade() -> None:
    with op.batch_alter_table("outbox", table_kwargs={"sqlite_autoincrement": True}) as outbox:
        outbox.drop_column("message_id")
        outbox.drop_column("subject")
    op.drop_table("stream_places")
