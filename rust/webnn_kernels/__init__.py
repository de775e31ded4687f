"""The native engine of webnn-runtime: matrix products and attention on the CPU.

Backends use this; people use ``webnn_runtime``. ``isa`` is the instruction set chosen for this process, and
``build_profile`` tells a slow debug build from a release.
"""

from webnn_kernels._kernels import (
    Engine,
    PackedMatrix,
    Plan,
    PlanBuilder,
    __version__,
    available_isas,
    build_profile,
    isa,
    kinds,
    supports,
)

__all__ = [
    "Engine",
    "PackedMatrix",
    "Plan",
    "PlanBuilder",
    "__version__",
    "available_isas",
    "build_profile",
    "isa",
    "kinds",
    "supports",
]
