"""What every model of the API has in common."""

from pydantic import BaseModel, ConfigDict


class Shape(BaseModel):
    """Takes fields that it does not know, keeps them and sends them: the server judges, in words, not this client.

    So a client reads the answers of a newer server, and a misspelt field of a request is refused, not lost.
    """

    model_config = ConfigDict(extra="allow", frozen=True)
