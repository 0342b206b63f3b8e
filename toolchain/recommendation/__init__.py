"""Which file to ship to which target, and why: the report's page and a release's manifest say the same."""

from toolchain.recommendation.loss import Loss, loss
from toolchain.recommendation.rule import Recommendation, recommend

__all__ = ["Loss", "Recommendation", "loss", "recommend"]
