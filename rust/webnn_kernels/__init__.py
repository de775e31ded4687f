"""The native engine of webnn-runtime: matrix products and attention on the CPU.

Backends use this; people use ``webnn_runtime``. ``isa`` is the instruction set chosen for this process, and
``build_profile`` tells a slow debug build from a release. ``plan_revision`` is raised with every change of what a
plan's kinds mean, ``packed_revision`` with every change of what packed matrices are.
"""

from webnn_kernels._kernels import (
    Engine,
    PackedFile,
    PackedMatrix,
    Plan,
    PlanBuilder,
    __version__,
    available_isas,
    build_profile,
    isa,
    kinds,
    packed_revision,
    panel_width,
    plan_revision,
    supports,
)

__all__ = [
    "Engine",
    "PackedFile",
    "PackedMatrix",
    "Plan",
    "PlanBuilder",
    "__version__",
    "available_isas",
    "build_profile",
    "isa",
    "kinds",
    "packed_revision",
    "panel_width",
    "plan_revision",
    "supports",
]
