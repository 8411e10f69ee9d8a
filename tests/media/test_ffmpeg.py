"""The door to ffmpeg: frames and sound come through whole, and failures come as one clear line."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dubd.errors import DubdError, Exit
from dubd.media import ffmpeg

LOSSLESS = ("-c:v", "libx264", "-qp", "0", "-preset", "ultrafast", "-threads", "1", *ffmpeg.BITEXACT)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """64x48, 10 frames at 25 a second, a tone of 440 Hz at half scale."""
    path = tmp_path / "a clip: 100%.mp4"
    ffmpeg.run(
        [
            *("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:duration=0.4"),
            *("-f", "lavfi", "-i", "aevalsrc=0.5*sin(2*PI*440*t):s=48000:d=0.4"),
            *("-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "pcm_s16le", "-f", "mov", ffmpeg.url(path)),
        ],
        stage="test",
        file=path,
    )
    return path


def noise(count: int, seed: int = 1) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(16, 235, (72, 64), np.uint8) for _ in range(count)]


class TestProbe:
    def test_tells_streams_of_a_file_with_an_awkward_name(self, clip: Path) -> None:
        assert [stream["codec_type"] for stream in ffmpeg.probe(clip)["streams"]] == ["video", "audio"]

    def test_text_is_an_input_error_with_a_remedy(self, tmp_path: Path) -> None:
        path = tmp_path / "notes.mp4"
        path.write_text("buy milk\n" * 50)
        with pytest.raises(DubdError) as caught:
            ffmpeg.probe(path)
        assert caught.value.exit is Exit.INPUT
        assert caught.value.remedy
        assert str(path) in str(caught.value)
        assert "0x" not in str(caught.value)


class TestRun:
    def test_failure_tells_the_last_meaningful_line_once(self, tmp_path: Path) -> None:
        with pytest.raises(DubdError) as caught:
            ffmpeg.run(["-i", ffmpeg.url(tmp_path / "gone.mp4"), "-f", "null", "-"], stage="extract", file="gone.mp4")
        assert "No such file or directory" in caught.value.reason
        assert caught.value.stage == "extract"
        assert "\n" not in str(caught.value)

    def test_progress_rises_to_one(self, clip: Path) -> None:
        seen: list[float] = []
        args = ["-i", ffmpeg.url(clip), "-f", "null", "-"]
        ffmpeg.run(args, stage=None, file=clip, progress=seen.append, seconds=0.4)
        assert seen == sorted(seen)
        assert seen[-1] > 0.9

    def test_a_flood_of_errors_does_not_block(self, clip: Path) -> None:
        ffmpeg.run(["-loglevel", "trace", "-i", ffmpeg.url(clip), "-f", "null", "-"], stage=None, file=clip)

    def test_a_full_disk_is_named(self, clip: Path) -> None:
        full = Path("/dev/full")
        if not full.exists():
            pytest.skip("no /dev/full on this system")
        with pytest.raises(DubdError) as caught:
            ffmpeg.run(["-i", ffmpeg.url(clip), "-f", "rawvideo", str(full)], stage="extract", file=clip)
        assert caught.value.exit is Exit.WORKSPACE
        assert "no space left" in caught.value.reason


class TestFrames:
    def test_grey_is_the_luma_bit_for_bit(self, clip: Path) -> None:
        planes, grey = list(ffmpeg.frames_yuv(clip, 64, 48)), list(ffmpeg.frames_grey(clip, 64, 48))
        assert len(grey) == len(planes) > 0
        assert all(np.array_equal(luma, frame[:48]) for luma, frame in zip(grey, planes, strict=True))

    def test_yuv_and_bgr_agree_in_count_and_shape(self, clip: Path) -> None:
        planes = list(ffmpeg.frames_yuv(clip, 64, 48))
        colors = list(ffmpeg.frames_bgr(clip, 64, 48))
        assert [len(planes), len(colors)] == [10, 10]
        assert planes[0].shape == (72, 64)
        assert colors[0].shape == (48, 64, 3)
        assert not np.array_equal(planes[0], planes[5])

    def test_a_part_is_the_same_pixels_as_in_the_whole(self, clip: Path) -> None:
        part = (10, 4, 32, 20)
        for whole, cut in zip(ffmpeg.frames_yuv(clip, 64, 48), ffmpeg.frames_yuv(clip, 64, 48, part), strict=True):
            assert np.array_equal(cut[:20], whole[4:24, 10:42])
            chroma = whole[48:].reshape(2, 24, 32)[:, 2:12, 5:21]
            assert np.array_equal(cut[20:].reshape(2, 10, 16), chroma)
        colors = zip(ffmpeg.frames_bgr(clip, 64, 48), ffmpeg.frames_bgr(clip, 64, 48, part), strict=True)
        assert all(np.abs(cut.astype(int) - whole[4:24, 10:42]).max() <= 2 for whole, cut in colors)

    def test_giving_up_early_leaves_no_child(self, clip: Path) -> None:
        frames = ffmpeg.frames_yuv(clip, 64, 48)
        next(frames)
        frames.close()  # type: ignore[attr-defined]
        children = subprocess.run(["ps", "-o", "comm=", "--ppid", str(os.getpid())], capture_output=True)
        assert b"ffmpeg" not in children.stdout

    def test_a_missing_file_is_an_error_not_an_empty_stream(self, tmp_path: Path) -> None:
        with pytest.raises(DubdError):
            list(ffmpeg.frames_yuv(tmp_path / "gone.mp4", 64, 48))


class TestYuvEncoder:
    def test_frames_come_back_bit_for_bit(self, tmp_path: Path) -> None:
        made, path = noise(7), tmp_path / "out.mp4"
        with ffmpeg.YuvEncoder(path, 64, 48, "30000/1001", LOSSLESS) as encoder:
            for frame in made:
                encoder.write(frame)
        back = list(ffmpeg.frames_yuv(path, 64, 48))
        assert len(back) == 7
        assert all(np.array_equal(one, other) for one, other in zip(made, back, strict=True))
        assert ffmpeg.probe(path)["streams"][0]["r_frame_rate"] == "30000/1001"

    def test_same_frames_give_same_bytes(self, tmp_path: Path) -> None:
        for name in ("one.mp4", "two.mp4"):
            with ffmpeg.YuvEncoder(tmp_path / name, 64, 48, "25", LOSSLESS) as encoder:
                for frame in noise(5):
                    encoder.write(frame)
        assert (tmp_path / "one.mp4").read_bytes() == (tmp_path / "two.mp4").read_bytes()

    def test_another_shape_is_refused(self, tmp_path: Path) -> None:
        with (
            pytest.raises(ValueError, match="72, 64"),
            ffmpeg.YuvEncoder(tmp_path / "out.mp4", 64, 48, "25", LOSSLESS) as encoder,
        ):
            encoder.write(np.zeros((48, 64), np.uint8))

    def test_a_dead_encoder_says_why(self, tmp_path: Path) -> None:
        with (
            pytest.raises(DubdError, match="nosuchcodec"),
            ffmpeg.YuvEncoder(tmp_path / "out.mp4", 64, 48, "25", ("-c:v", "nosuchcodec")) as encoder,
        ):
            for frame in noise(200):
                encoder.write(frame)

    def test_a_full_disk_is_named(self) -> None:
        if not Path("/dev/full").exists():
            pytest.skip("no /dev/full on this system")
        with (
            pytest.raises(DubdError) as caught,
            ffmpeg.YuvEncoder("/dev/full", 64, 48, "25", ("-c:v", "rawvideo", "-f", "rawvideo")) as encoder,
        ):
            for frame in noise(100):
                encoder.write(frame)
        assert caught.value.exit is Exit.WORKSPACE

    def test_color_is_tagged(self, tmp_path: Path) -> None:
        color = {"space": "bt709", "primaries": "bt709", "transfer": "bt709", "range": "tv"}
        path = tmp_path / "out.mp4"
        with ffmpeg.YuvEncoder(path, 64, 48, "25", (*LOSSLESS, *ffmpeg.color_args(color))) as encoder:
            encoder.write(noise(1)[0])
        stream = ffmpeg.probe(path)["streams"][0]
        tags = [stream[f"color_{part}"] for part in ("space", "primaries", "transfer", "range")]
        assert tags == ["bt709", "bt709", "bt709", "tv"]


class TestSound:
    def test_blocks_add_up_and_keep_the_level(self, clip: Path) -> None:
        blocks = list(ffmpeg.audio_blocks(clip, 48_000))
        whole = np.concatenate(blocks)
        assert whole.shape == (19_200, 1)
        assert whole.dtype == np.float32
        assert np.abs(whole).max() == pytest.approx(0.5, abs=0.01)

    def test_read_audio_resamples_to_mono(self, clip: Path) -> None:
        assert ffmpeg.read_audio(clip, 16_000).shape == (6_400,)

    def test_wav_round_trip_clips_at_full_scale(self, tmp_path: Path) -> None:
        path = tmp_path / "out.wav"
        ffmpeg.write_wav(path, np.array([0.0, 0.5, 1.7, -1.7], np.float32), 48_000)
        back, rate = soundfile.read(path)
        assert rate == 48_000
        assert back == pytest.approx([0.0, 0.5, 1.0, -1.0], abs=1e-4)

    def test_a_full_disk_is_told_as_such(self) -> None:
        with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
            ffmpeg.write_wav("/dev/full", np.zeros(480, np.float32), 48_000)
