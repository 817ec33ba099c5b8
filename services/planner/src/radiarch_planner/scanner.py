"""Whether a CT was made on a scanner that its calibration was measured on."""

from radiarch_common.case import CaseManifest

from radiarch_planner.machine import CalibrationFile, ScannerFile

_SAME_KVP = 0.5
_UNKNOWN = "unknown"


def scanner_warnings(calibration: CalibrationFile, case: CaseManifest) -> tuple[str, ...]:
    """A warning unless manufacturer, model and kVp are known of both, and are the same.

    A calibration without scanners was measured on none that its file names; nothing is taken to match it.
    """
    ct = ScannerFile(
        manufacturer=case.manufacturer.strip() or _UNKNOWN,
        model=case.manufacturer_model_name.strip() or None,
        kvp=case.kvp or None,
    )
    if any(_same(scanner, ct) for scanner in calibration.scanners):
        return ()
    measured = "; ".join(_in_words(scanner) for scanner in calibration.scanners)
    begins = f"was measured on {measured}" if measured else "names no scanner that it was measured on"
    return (f"CT calibration '{calibration.id}' {begins}; this CT is from {_in_words(ct)}.",)


def _same(scanner: ScannerFile, ct: ScannerFile) -> bool:
    if scanner.model is None or ct.model is None or scanner.kvp is None or ct.kvp is None:
        return False
    words = [(s.manufacturer.strip().casefold(), (s.model or "").strip().casefold()) for s in (scanner, ct)]
    return words[0] == words[1] and abs(scanner.kvp - ct.kvp) <= _SAME_KVP


def _in_words(scanner: ScannerFile) -> str:
    known = scanner.manufacturer != _UNKNOWN
    make = (
        f"{scanner.manufacturer} {scanner.model or '(unknown model)'}"
        if known or scanner.model
        else "an unknown scanner"
    )
    return f"{make} at {f'{scanner.kvp:g} kV' if scanner.kvp else 'unknown kV'}"
