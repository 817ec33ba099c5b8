"""``python -m radiarch_gateway.admin``: where there is no ``radiarch`` command, such as in the gateway's container."""

from radiarch_gateway.admin.commands import app

app(prog_name="python -m radiarch_gateway.admin")
