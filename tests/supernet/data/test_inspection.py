"""The picture of a corpus shows all its splits, and says why a source cannot be shown."""

import dataclasses

import cv2
import layouts
import numpy as np
import pytest

from supernet.data import inspection
from supernet.data.corpus import Corpus
from supernet.data.inspection import choose, contact_sheet, counts, find_source
from supernet.data.recordings.readers import ntcd_timit
from supernet.data.settings import DataSettings
from supernet.errors import UserError


def test_a_corpus_becomes_a_picture(corpus_and_settings, tmp_path):
    corpus, settings = corpus_and_settings
    assert len(contact_sheet(corpus, settings, tmp_path / "sheet.png", 2)) == 2
    height, width, _ = cv2.imread(str(tmp_path / "sheet.png")).shape
    assert width > height > 300
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]


def test_few_clips_show_all_splits_and_many_speakers(real_corpus):
    assert {clip.split for clip in choose(real_corpus, 3)} == {"train", "val", "test"}
    nine = choose(real_corpus, 9)
    assert len({clip.speaker for clip in nine}) == 9
    assert len(choose(real_corpus, 100)) == len(real_corpus.select("talker"))


def test_counts_tell_clips_speakers_and_hours(real_corpus):
    rows = {row[:2]: row[2:] for row in counts(real_corpus)}
    assert rows["talker", "val"] == (9, 3, pytest.approx(9 * 2 / 3600))
    assert rows["noise", "test"] == (2, 2, pytest.approx(2 * 2 / 3600))
    assert len(rows) == 9
    mixture = dataclasses.replace(real_corpus.clips[0], role="mixture")
    assert counts(Corpus(real_corpus.folder, [mixture])) == [("mixture", "train", 1, 1, pytest.approx(2 / 3600))]


def test_the_sources_face_and_mouth_are_found(real_corpus, tmp_path, write_video, face):
    settings = DataSettings(corpus="grid", root=str(tmp_path))
    clip = dataclasses.replace(real_corpus.clips[0], source="s1/a.mp4", frames=8)
    with pytest.raises(UserError, match="a.mp4: not found; name its folder with --data.root"):
        find_source(clip, settings)
    (tmp_path / "s1").mkdir()
    write_video(tmp_path / "s1/a.mp4", frames=8, draw=face)
    source = find_source(clip, settings)
    assert np.abs(source.picture.astype(int) - face(4)).max() <= 1 and source.share == 1
    left, top, width = source.face
    assert left < source.mouth.x - source.mouth.half_side and source.mouth.x + source.mouth.half_side < left + width
    assert top < source.mouth.y < top + width

    track = find_source(clip, dataclasses.replace(settings, lip_region="face_track"))
    assert track.face is None and (track.mouth.x, track.mouth.y) == (180, 144)


def test_a_video_beside_its_sound_is_found(tmp_path, media):
    layouts.ntcd_timit(tmp_path, layouts.Names())
    settings = DataSettings(corpus="ntcd_timit", root=str(tmp_path), lip_region="face_track")
    clips = {recording.clip.id: recording.clip for recording in ntcd_timit.read(tmp_path, "--data.root")}
    clip = dataclasses.replace(clips["talker-01M-sa1"], frames=10)
    media.video(tmp_path / "volunteers/01M/Clips/straightcam/sa1.mp4", sound=False)
    assert find_source(clip, settings).picture.shape == (224, 224)
    with pytest.raises(UserError, match="sa1.mp4: is shorter than the clip"):
        find_source(dataclasses.replace(clip, frames=100), settings)
    with pytest.raises(UserError, match="lip pictures came with the corpus"):
        find_source(clips["talker-02M-sa1"], settings)


def test_a_source_without_a_face_stops_nothing(real_corpus, tmp_path, monkeypatch):
    def lost(clip, settings):
        raise UserError("nobody there")

    monkeypatch.setattr(inspection, "find_source", lost)
    contact_sheet(real_corpus, DataSettings(corpus="grid", root=str(tmp_path)), tmp_path / "sheet.png", 1)
    assert (tmp_path / "sheet.png").stat().st_size > 10_000


def test_nothing_to_show_is_said(tmp_path, real_corpus):
    silent = Corpus(real_corpus.folder, real_corpus.select("noise"))
    with pytest.raises(UserError, match="holds no talker"):
        contact_sheet(silent, DataSettings(corpus="grid"), tmp_path / "sheet.png")
    with pytest.raises(UserError, match="clips: must be at least 1"):
        contact_sheet(real_corpus, DataSettings(corpus="grid"), tmp_path / "sheet.png", 0)
    assert not list(tmp_path.iterdir())
