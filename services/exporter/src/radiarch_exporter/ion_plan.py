"""RT Ion Plan: what the planner chose, as DICOM.

References
----------
DICOM PS3.3 A.49 (RT Ion Plan IOD), C.8.8.9 (RT General Plan), C.8.8.10 (RT Prescription), C.8.8.12 (RT Patient
Setup), C.8.8.13 (RT Fraction Scheme), C.8.8.16 (Approval).
"""

from pydicom import Dataset
from pydicom.uid import RTIonPlanStorage
from radiarch_common.case import CaseManifest
from radiarch_common.messages import ExportResult
from radiarch_common.result import ResultManifest

from radiarch_exporter.decimals import nearest_ds
from radiarch_exporter.identity import Identity
from radiarch_exporter.ion_beam import ion_beam, meterset_ds
from radiarch_exporter.record import NOTICE, Kind, date_and_time, new_record, reference_to

_KIND = Kind(sop_class_uid=RTIonPlanStorage, modality="RTPLAN", series_number=9001)


def ion_plan(job: ExportResult, case: CaseManifest, result: ResultManifest) -> Dataset:
    """The RT Ion Plan of a result; unapproved, for research.

    Raises
    ------
    RefusedError
        If a beam cannot be written (see ``ion_beam``).
    """
    identity = Identity.of(job.job_id, result.digest)
    plan = new_record(job, case, result, _KIND, identity.plan_uid, identity.plan_series_uid)
    plan.RTPlanDate, plan.RTPlanTime = date_and_time(job, plan)
    plan.RTPlanLabel = f"RESEARCH {job.job_id[:7]}"
    plan.RTPlanName = f"{result.resolved.workflow.id} {result.resolved.workflow.version}"[:64]
    plan.RTPlanDescription = _description(result)
    plan.PlanIntent = "RESEARCH"
    plan.RTPlanGeometry = "PATIENT"
    plan.ReferencedStructureSetSequence = [reference_to(case.structure_set)]
    plan.ApprovalStatus = "UNAPPROVED"
    plan.PrescriptionDescription = prescription_text(result)
    plan.DoseReferenceSequence = [_dose_reference(case, result)]
    plan.PatientSetupSequence = [_setup(case)]
    plan.FractionGroupSequence = [_fractions(result)]
    machine = result.resolved.machine.id[:16]
    plan.IonBeamSequence = [ion_beam(beam, machine) for beam in result.beams]
    return plan


def prescription_text(result: ResultManifest) -> str:
    """The prescription and what its unit means, in one sentence."""
    spec = result.resolved.spec
    wanted = spec.prescription
    return (
        f"{wanted.dose_gy_rbe:g} Gy(RBE) in {wanted.fractions} fractions to {wanted.target}, "
        f"normalised {wanted.normalisation}; constant RBE {spec.rbe:g}"
    )


def _description(result: ResultManifest) -> str:
    resolved = result.resolved
    return (
        f"{NOTICE}. Research plan by Radiarch, unapproved. Machine {resolved.machine.id} {resolved.machine.version}, "
        f"CT calibration {resolved.ct_calibration.id} {resolved.ct_calibration.version}. "
        f"Doses are Gy(RBE), constant RBE {resolved.spec.rbe:g}; metersets are MU per fraction."
    )[:1024]


def _dose_reference(case: CaseManifest, result: ResultManifest) -> Dataset:
    spec = result.resolved.spec
    item = Dataset()
    item.DoseReferenceNumber = 1
    target = spec.prescription.target
    if any(derived.name == target for derived in result.structures):
        # The structure set has no ROI of it that could be referred to.
        item.DoseReferenceStructureType = "SITE"
        item.DoseReferenceDescription = f"Gy(RBE), RBE {spec.rbe:g}, derived target {target}"[:64]
    else:
        item.DoseReferenceStructureType = "VOLUME"
        item.ReferencedROINumber = case.structure(target).number
        item.DoseReferenceDescription = f"Gy(RBE), constant RBE {spec.rbe:g}, {target}"[:64]
    item.DoseReferenceType = "TARGET"
    item.TargetPrescriptionDose = nearest_ds(spec.prescription.dose_gy_rbe)
    return item


def _setup(case: CaseManifest) -> Dataset:
    item = Dataset()
    item.PatientSetupNumber = 1
    item.PatientPosition = case.patient_position
    return item


def _fractions(result: ResultManifest) -> Dataset:
    item = Dataset()
    item.FractionGroupNumber = 1
    item.NumberOfFractionsPlanned = result.resolved.spec.prescription.fractions
    item.NumberOfBeams = len(result.beams)
    item.NumberOfBrachyApplicationSetups = 0
    item.ReferencedBeamSequence = []
    for beam in result.beams:
        reference = Dataset()
        reference.ReferencedBeamNumber = beam.number
        reference.BeamMeterset = meterset_ds(beam)
        item.ReferencedBeamSequence.append(reference)
    return item
