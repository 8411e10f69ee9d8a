"""What hours of a GPU cost, and what the same minutes of video would cost elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

AS_OF = "2026-11"


@dataclass(frozen=True)
class Cloud:
    """A service's price per minute of video and language; None where it publishes none that could be quoted."""

    name: str
    lips: bool
    per_minute: float | None
    currency: str
    note: str


CLOUDS = (
    Cloud("ElevenLabs Dubbing", False, 0.60, "USD", "overage, about; billed for each language and each edit"),
    Cloud("HeyGen speed", True, 1.98, "USD", "$0.033 a second"),
    Cloud("HeyGen precision", True, 4.02, "USD", "$0.067 a second"),
    Cloud("Rask", True, None, "USD", "no price a minute in hand; dubbing again bills the changed segments alone"),
    Cloud("Sarvam", False, 40.0, "INR", "12 Indian languages; 80 with its editor"),
)


@dataclass(frozen=True)
class Prices:
    """What a GPU takes and costs: watts under load, price of a kWh, or price of an hour of it; None: not told."""

    watts: float | None = None
    kwh: float | None = None
    gpu_hour: float | None = None

    def of(self, gpu_hours: float) -> dict[str, float | None]:
        """Energy of the GPUs in kWh, its price, and the price by the hour; None for what no rate was given for."""
        energy = None if self.watts is None else gpu_hours * self.watts / 1000
        return {
            "kwh": _rounded(energy),
            "energy_price": _rounded(None if energy is None or self.kwh is None else energy * self.kwh),
            "gpu_price": _rounded(None if self.gpu_hour is None else gpu_hours * self.gpu_hour),
        }


def elsewhere(minutes: float, languages: int = 1, *, lips: bool) -> list[Mapping[str, Any]]:
    """The services' prices for minutes of video in so many languages; with `lips` only those that do the lips."""
    return [
        {
            "service": cloud.name,
            "lips": cloud.lips,
            "per_minute": cloud.per_minute,
            "price": None if cloud.per_minute is None else round(cloud.per_minute * minutes * languages, 2),
            "currency": cloud.currency,
            "note": cloud.note,
            "as_of": AS_OF,
        }
        for cloud in CLOUDS
        if cloud.lips or not lips
    ]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
