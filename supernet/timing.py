"""The one time grid of audio and video: 16 kHz, 25 fps, so a video frame is 640 samples and 32 latent frames."""

from typing import Final

SAMPLE_RATE: Final = 16_000
FRAME_RATE = 25
SAMPLES_PER_FRAME = SAMPLE_RATE // FRAME_RATE  # 640
KERNEL = 40  # encoder window, samples
STRIDE = KERNEL // 2  # encoder hop, samples
LATENTS_PER_FRAME = SAMPLES_PER_FRAME // STRIDE  # 32 latent frames for each video frame
