"""The numeric check of a written bundle: the certificate, and the canaries for checking it again without its source."""

from webnn_translator.verify.bundle import CanaryResult, Recheck, check_bundle, recheck_bundle, recorded_source
from webnn_translator.verify.certificate import Certificate, Verdict, VerificationFailed
from webnn_translator.verify.check import Checked, check_graph
from webnn_translator.verify.compare import DEFAULT_TOLERANCE, HALF_TOLERANCE, Difference, compare
from webnn_translator.verify.reference import OnnxReference, SourceFailed
from webnn_translator.verify.texts import why_no_texts

__all__ = [
    "DEFAULT_TOLERANCE",
    "HALF_TOLERANCE",
    "CanaryResult",
    "Certificate",
    "Checked",
    "Difference",
    "OnnxReference",
    "Recheck",
    "SourceFailed",
    "Verdict",
    "VerificationFailed",
    "check_bundle",
    "check_graph",
    "compare",
    "recheck_bundle",
    "recorded_source",
    "why_no_texts",
]
