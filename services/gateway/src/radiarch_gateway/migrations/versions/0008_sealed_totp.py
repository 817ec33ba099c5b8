"""Room for secrets of authenticator apps that are encrypted; ``seal_all`` encrypts those that are there."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _resize(64, 200)


def downgrade() -> None:
    """What is encrypted would not fit, nor be read by a version before: those accounts ask for no codes."""
    users = sa.table("users", sa.column("totp_secret"), sa.column("totp_confirmed"))
    op.execute(users.update().values(totp_secret=None, totp_confirmed=sa.false()))
    _resize(200, 64)


def _resize(before: int, after: int) -> None:
    with op.batch_alter_table("users") as users:
        users.alter_column(
            "totp_secret", existing_type=sa.String(before), type_=sa.String(after), existing_nullable=True
        )
