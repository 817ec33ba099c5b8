"""The operators' table of settings is the settings: a new one, or a new default, must be told there."""

import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from radiarch_common.settings import S3Settings, Settings

DOCUMENT = Path(__file__).parents[2] / "docs" / "operators.md"
ROW = re.compile(r"^\| `(RADIARCH_\w+)` \| (?:`(.*?)`|(unset|required)) \|", re.MULTILINE)


def shown(field: FieldInfo) -> str:
    """A default as the table writes it."""
    default: Any = field.get_default(call_default_factory=True, validated_data={})
    if default is PydanticUndefined:
        return "required"
    if default is None:
        return "unset"
    if isinstance(default, float):
        return f"{default:g}"
    return str(default).replace(str(Path.home()), "~")


def expected(model: type[BaseModel], prefix: str) -> dict[str, str]:
    return {f"{prefix}{name.upper()}": shown(field) for name, field in model.model_fields.items()}


def test_the_table_holds_every_setting_and_its_default() -> None:
    told = {name: plain or word for name, plain, word in ROW.findall(DOCUMENT.read_text())}
    assert told == expected(Settings, "RADIARCH_") | expected(S3Settings, "RADIARCH_S3__")
