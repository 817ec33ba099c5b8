"""A dose too noisy to judge a plan by says so: 'D95% = 100 %' met by noise makes every spot too strong."""

from radiarch_common.result import Uncertainty
from radiarch_planner.evaluation import warnings_of_noise


def test_a_noisy_dose_is_said() -> None:
    voxels = "voxels of 'PTV' above 50% of the maximum dose"
    assert warnings_of_noise(Uncertainty(percent=2.9, voxels=voxels, batches=10)) == ()
    (warning,) = warnings_of_noise(Uncertainty(percent=11.4, voxels=voxels, batches=10))
    assert "11.4 %" in warning
    assert "primaries_final" in warning
