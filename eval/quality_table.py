"""The table of all 324 subnets, under its public name."""

from eval.table.quality_table import QualityHeader, QualityRow, QualityTable

__all__ = ["QualityHeader", "QualityRow", "QualityTable"]
