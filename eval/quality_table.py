"""The table of all 324 subnets, under its public name."""

from eval.table.quality_table import QualityTable
from eval.table.rows import QualityHeader, QualityRow

__all__ = ["QualityHeader", "QualityRow", "QualityTable"]
