"""What GPUs take and cost: the options of `dubd plan` and `dubd report --cost`, and what they come to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dubd.cli.console import say
from dubd.errors import DubdError, Exit

if TYPE_CHECKING:
    from dubd.cost.prices import Prices

# The upper ends keep `inf` out, and what is a slip in any currency.
Watts = Annotated[float | None, typer.Option("--watts", min=0, max=1e5, help="Of one GPU under load.")]
Price = Annotated[float | None, typer.Option("--price", min=0, max=1e9, help="Of a kWh, with --watts.")]
GpuHour = Annotated[float | None, typer.Option("--gpu-hour", min=0, max=1e9, help="Price of an hour of one GPU.")]


def prices(watts: float | None, price: float | None, gpu_hour: float | None) -> Prices:
    """The rates as they were asked. Errors: DubdError(Exit.USAGE) for a price of energy of which nothing is known."""
    from dubd.cost.prices import Prices

    if price is not None and watts is None:
        remedy = "say --watts too, what one GPU takes under load"
        raise DubdError("--price is that of a kWh, and alone it says nothing", remedy=remedy, exit=Exit.USAGE)
    return Prices(watts, price, gpu_hour)


def show_prices(
    prices: Mapping[str, float | None], cloud: Sequence[Mapping[str, Any]], videos: int | None = None
) -> None:
    """Energy and price of the GPUs, as far as rates were given, and what the same minutes cost elsewhere.

    With `videos`, of so many; a service that was asked for some of them says so.
    """
    if prices["kwh"] is not None:
        at = "" if prices["energy_price"] is None else f", {prices['energy_price']:.2f} at the price given"
        say(f"energy of the GPUs: {prices['kwh']:.1f} kWh{at}")
    if prices["gpu_price"] is not None:
        say(f"GPU hours at the price given: {prices['gpu_price']:.2f}")
    for one in cloud:
        cost = "no price known" if one["price"] is None else f"{one['price']:,.2f} {one['currency']}"
        lips = "with lips" if one["lips"] else "without lips"
        some = f" for {one['videos']} of {videos} videos" if videos and one["videos"] < videos else ""
        say(f"elsewhere: {one['service']}, {lips}: {cost}{some} (as of {one['as_of']}; {one['note']})")
