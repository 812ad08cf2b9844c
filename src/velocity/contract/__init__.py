"""The wire, declared once: every operation with its types, its permission and its failures."""

from velocity.contract.operation import Operation
from velocity.contract.registry import OPERATIONS

__all__ = ["OPERATIONS", "Operation"]
