#!/usr/bin/env bash
# The wheel in a fresh environment without PyTorch: enhance a sound and a video, query, profile.
set -euo pipefail
make setup-light
light=$PWD/.venv-light/bin
if "$light/python" -c 'import torch' 2>/dev/null; then echo "the light install has PyTorch" >&2; exit 1; fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
table=$PWD/eval/table/files/shared_val.csv
cd "$folder" # away from the sources, so that the wheel is what runs
"$light/python" - <<'PYTHON'
import av
import numpy as np
import soundfile

generator = np.random.default_rng(0)
sound = 0.1 * generator.standard_normal(32_000).astype(np.float32)
soundfile.write("noise.wav", sound, 16_000)
with av.open("talk.mp4", "w") as film:
    pictures, track = film.add_stream("mpeg4", rate=25), film.add_stream("aac", rate=16_000, layout="mono")
    pictures.width, pictures.height, pictures.pix_fmt = 128, 128, "yuv420p"
    for _ in range(50):
        picture = generator.integers(0, 256, (128, 128, 3), np.uint8)
        film.mux(pictures.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
    film.mux(pictures.encode(None))
    frame = av.AudioFrame.from_ndarray(sound[None], "fltp", "mono")
    frame.sample_rate = 16_000
    film.mux(track.encode(frame))
    film.mux(track.encode(None))
PYTHON
"$light/ofa-avse" enhance noise.wav
"$light/ofa-avse" enhance talk.mp4 --lip_region face_track
"$light/ofa-avse" query --table "$table" --max_params 60k
model=$("$light/python" -c 'from supernet.models import SMALL; print(SMALL.with_suffix(".onnx"))')
"$light/ofa-avse" profile --model "$model"
test -s noise.enhanced.wav && test -s talk.enhanced.wav
