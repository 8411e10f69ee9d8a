"""A band without delay, smoothing without delay: as the filters do that they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d
from scipy.signal import butter, savgol_filter, sosfiltfilt

from dubd.engines.band import band_pass, blur, fit

RNG = np.random.default_rng(5)


@pytest.mark.parametrize(("band", "rate", "order"), [((300.0, 3400.0), 48000, 4), ((0.7, 8.0), 30, 2)])
def test_a_band_is_a_butterworth_run_both_ways(band: tuple[float, float], rate: int, order: int) -> None:
    noise = RNG.normal(size=3001)

    made = band_pass(noise, band, rate, order)

    known = sosfiltfilt(butter(order, band, "bandpass", fs=rate, output="sos"), noise)
    assert made.shape == known.shape
    assert np.abs(made - known)[1400:-1400].max() < 1e-6
    assert np.corrcoef(made, known)[0, 1] > 0.999


def test_a_band_of_a_constant_is_silence() -> None:
    assert np.abs(band_pass(np.full(200, 3.0), (0.7, 8.0), 30, 2)).max() < 0.05


@pytest.mark.parametrize("count", [5, 200])
def test_a_blur_is_a_gaussian_that_goes_on_at_the_ends(count: int) -> None:
    values = RNG.normal(size=count)

    assert blur(values, 3.3) == pytest.approx(gaussian_filter1d(values, 3.3, mode="nearest"))


@pytest.mark.parametrize("count", [9, 50])
def test_a_fit_is_savitzky_and_golay(count: int) -> None:
    track = RNG.normal(size=count) + 1j * RNG.normal(size=count)

    made = fit(track, 9)

    assert made.real == pytest.approx(savgol_filter(track.real, 9, 2))
    assert made.imag == pytest.approx(savgol_filter(track.imag, 9, 2))
