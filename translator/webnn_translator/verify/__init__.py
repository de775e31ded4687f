"""The numeric check of a written bundle: the certificate, and the canaries for checking it again without its source."""

from webnn_translator.verify.certificate import Certificate, Verdict, VerificationFailed
from webnn_translator.verify.check import Checked, check_graph
from webnn_translator.verify.compare import DEFAULT_TOLERANCE, Difference, compare
from webnn_translator.verify.reference import OnnxReference

__all__ = [
    "DEFAULT_TOLERANCE",
    "Certificate",
    "Checked",
    "Difference",
    "OnnxReference",
    "Verdict",
    "VerificationFailed",
    "check_graph",
    "compare",
]
