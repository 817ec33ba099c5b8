"""Structure names: what is another spelling of a TG-263 name is said; what is standard or unknown is left in peace."""

from pathlib import Path

import pytest
from radiarch_common.case import Structure
from radiarch_common.geometry import Grid
from radiarch_planner.structures.names import NameDictionary

GRID = Grid(origin_mm=(0.0, 0.0, 0.0), spacing_mm=(1.0, 1.0, 1.0), size=(1, 1, 1))


@pytest.mark.parametrize(
    ("name", "standard"),
    [
        ("rectum", "Rectum"),
        ("RECTUM", "Rectum"),
        ("Spinal_Cord", "SpinalCord"),
        ("spinal cord", "SpinalCord"),
        ("Oesophagus", "Esophagus"),
        ("Lt Femoral Head", "Femur_Head_L"),
        ("femoral-head.right", "Femur_Head_R"),
        ("FemoralHead_L", "Femur_Head_L"),
        ("Femur_Head_RT", "Femur_Head_R"),
        ("Left Parotid", "Parotid_L"),
        ("PAROTID_L", "Parotid_L"),
        ("OpticNerve_R", "OpticNrv_R"),
        ("Small Bowel", "Bowel_Small"),
    ],
)
def test_another_spelling_is_recognised(name: str, standard: str) -> None:
    assert NameDictionary.read().looks_like(name) == standard


@pytest.mark.parametrize(
    "name",
    ["Rectum", "SpinalCord", "Femur_Head_L", "PTV_High", "BODY", "zRing", "Left", "Rectum_PRV05", "Parotid", "_", "L"],
)
def test_standard_and_unknown_names_are_left_in_peace(name: str) -> None:
    """A side is never guessed: 'Parotid' alone is neither of the two."""
    assert NameDictionary.read().looks_like(name) is None


def test_what_is_said() -> None:
    drawn = Structure(number=1, name="rectum", interpreted_type="", volume_cc=1.0, grid=GRID)
    derived = drawn.model_copy(update={"name": "cord", "derived": "a ring"})
    assert NameDictionary.read().warnings([drawn, derived]) == (
        "Structure 'rectum' looks like 'Rectum' of TG-263; its name is used as it is.",
    )


def test_an_operator_s_own_names(tmp_path: Path) -> None:
    path = tmp_path / "names.toml"
    path.write_text('version = "7"\n[[structure]]\nname = "Blase"\nalso = ["bladder"]\n')
    assert NameDictionary.read(path).looks_like("Bladder") == "Blase"
    path.write_text('version = "7"\n[[structure]]\nname = "A"\nalso = ["b"]\n[[structure]]\nname = "B"\n')
    with pytest.raises(ValueError, match=r"names\.toml cannot be used.*'B' is given for 'B' and for 'A'"):
        NameDictionary.read(path)
    with pytest.raises(ValueError, match="nowhere"):
        NameDictionary.read(tmp_path / "nowhere.toml")
