"""Readers know the layouts of their corpora, keep official splits, and say what is missing. No media file is opened."""

import json
from collections import defaultdict
from dataclasses import replace

import layouts
import pytest

from supernet.data.recordings import preparing
from supernet.data.recordings.readers import avsec, cec2, folders, lrs3, ntcd_timit, wham
from supernet.data.recordings.splits import assign
from supernet.data.settings import DataSettings
from supernet.errors import UserError

READERS = {
    "folders": (folders.read, layouts.folders),
    "lrs3": (lrs3.read, layouts.lrs3),
    "wham": (wham.read, layouts.wham),
    "cec2": (cec2.read, layouts.cec2),
    "avsec3": (avsec.AVSEC3.read, layouts.avsec3),
    "avsec4": (avsec.AVSEC4.read, layouts.avsec4),
    "ntcd_timit": (ntcd_timit.read, layouts.ntcd_timit),
}


@pytest.fixture
def found(tmp_path):
    """Read the miniature of a corpus, after `change` has been made to it."""

    def read(corpus, change=lambda root: None):
        reader, layout = READERS[corpus]
        if not any(tmp_path.iterdir()):
            layout(tmp_path, layouts.Names())
        change(tmp_path)
        return reader(tmp_path / "videos" if corpus == "folders" else tmp_path, "--data.root")

    return read


def assigned(recordings, corpus="lrs3", **settings):
    clips = [replace(recording.clip, samples=16_000, frames=25) for recording in recordings]
    return assign(clips, DataSettings(corpus=corpus, **settings), recordings)


def splits_by(clips, key):
    splits = defaultdict(set)
    for clip in clips:
        splits[key(clip)].add(clip.split)
    return splits


@pytest.mark.parametrize("corpus", READERS)
def test_ids_are_unique_and_the_files_are_there(corpus, found):
    recordings = found(corpus)
    assert len({recording.clip.id for recording in recordings}) == len(recordings)
    for recording in recordings:
        pictures = [recording.video, recording.lips] if recording.clip.role == "talker" else []
        assert all(path.is_file() for path in [recording.sound, *filter(None, pictures)])
        assert bool(any(pictures)) == (recording.clip.role == "talker")


@pytest.mark.parametrize("corpus", [name for name in READERS if name not in ("wham", "cec2")])
def test_no_speaker_crosses_a_split_and_every_split_has_talkers(corpus, found):
    clips = assigned(found(corpus), corpus)
    talkers = [clip for clip in clips if clip.role == "talker"]
    assert {clip.split for clip in talkers} == {"train", "val", "test"}
    assert all(len(splits) == 1 for splits in splits_by(talkers, lambda clip: clip.speaker).values())
    assert any(assigned(found(corpus), corpus, seed=seed) != clips for seed in range(1, 9))


@pytest.mark.parametrize("corpus", ["avsec3", "avsec4", "cec2", "wham"])
def test_no_masker_crosses_a_split(corpus, found):
    recordings = [recording for recording in found(corpus) if recording.clip.role in ("speech", "noise")]
    of = {recording.clip.id: recording.group or recording.clip.id for recording in recordings}
    splits = splits_by(assigned(recordings, "avsec3"), lambda clip: (clip.role, of[clip.id]))
    assert all(len(own) == 1 for own in splits.values())


def test_a_ratio_that_is_no_number_names_its_scene(found):
    def wrong(root):
        path = root / "metadata/scenes.dev.json"
        rows = json.loads(path.read_text())
        rows[0]["SNR"] = "loud"
        path.write_text(json.dumps(rows))

    with pytest.raises(UserError, match="scenes.dev.json: SNR of S.* is 'loud', no number"):
        found("avsec4", wrong)


def test_avsec_maskers_that_share_a_part_stay_together(found):
    def shared(root):
        path = root / "metadata/scenes.dev.json"
        rows = json.loads(path.read_text())
        names = [f"CIN_fan_{number:03}.wav" for number in range(len(rows))]
        for number, row in enumerate(rows):  # 0+1, 1+2, 2+3, ...
            row["interferers"] = [{"type": "noise", "name": name} for name in (names[number], names[number - 1])]
        path.write_text(json.dumps(rows))

    noises = [clip for clip in assigned(found("avsec4", shared), "avsec4") if clip.role == "noise"]
    dev = [clip for clip in noises if clip.source.startswith("dev")]
    assert len(dev) > 2 and len({clip.split for clip in dev}) == 1


@pytest.mark.parametrize("corpus", ["avsec3", "avsec4", "ntcd_timit"])
def test_mixtures_stay_with_their_talkers(corpus, found):
    recordings = found(corpus)
    split_of = {clip.id: clip.split for clip in assigned(recordings, corpus)}
    mixtures = [recording for recording in recordings if recording.clip.role == "mixture"]
    assert mixtures and all(split_of[m.clip.id] == split_of[m.mixture_of] for m in mixtures)


def test_lrs3_tests_on_its_own_test_set(found):
    for clip in assigned(found("lrs3")):
        assert (clip.split == "test") == (clip.source.startswith("test/"))


def test_hundreds_of_speakers_leave_a_hundred_for_validation(tmp_path):
    for number in range(900):
        layouts.Names().video(tmp_path / f"trainval/{number:011}/00001.mp4")
    layouts.Names().video(tmp_path / "test/00000000xyz/00001.mp4")
    clips = assigned(lrs3.read(tmp_path, "--data.root"))
    assert [sum(clip.split == split for clip in clips) for split in ("train", "val", "test")] == [800, 100, 1]


def test_wham_splits_are_official(found):
    assert splits_by(assigned(found("wham")), lambda clip: clip.source[:2]) == {
        "tr": {"train"},
        "cv": {"val"},
        "tt": {"test"},
    }


def test_cec2_trains_and_validates_on_train_and_tests_on_dev(found):
    recordings = found("cec2")
    clips = assigned(recordings)
    kinds = {(clip.role, clip.category) for clip in clips}
    assert kinds == {("noise", "electricfan"), ("noise", "dishwasher"), ("noise", "music"), ("speech", "")}
    for kind in kinds:
        own = [clip for clip in clips if (clip.role, clip.category) == kind]
        assert splits_by(own, lambda clip: clip.source.split("/")[0]) == {"train": {"train", "val"}, "dev": {"test"}}


def test_an_artist_is_heard_in_one_split(found):
    def one_artist(root):
        path = root / "metadata/masker_music_list.json"
        path.write_text(json.dumps([row | {"artist": "a"} for row in json.loads(path.read_text())]))

    music = [clip for clip in assigned(found("cec2", one_artist)) if clip.category == "music"]
    assert {clip.split for clip in music if clip.source.startswith("train")} == {"train"}


def test_avsec_scenes_have_their_snr_and_the_kind_of_their_masker(found):
    mixtures = {r.clip.id: r for r in found("avsec4") if r.clip.role == "mixture"}
    assert mixtures["mixture-dev-S34526"].snr_db == -5.0
    assert {recording.kind for recording in mixtures.values()} == {"noise", "music", "speech", "noise+speech"}


def test_avsec_interferers_of_one_type_are_maskers(found, capsys):
    maskers = [r.clip for r in found("avsec4") if r.clip.role in ("speech", "noise")]
    kinds = {(clip.role, clip.category, clip.speaker) for clip in maskers if clip.source.startswith("train")}
    readers = {("speech", "", f"{number:03}83BHQsMAB") for number in (2, 6)}
    assert kinds == {("noise", "fan", ""), ("noise", "music", "")} | readers
    assert "4 interferers, of several types or unknown, are heard in their scenes only" in capsys.readouterr().out


def test_avsec4_takes_mono_files_where_it_has_them_and_never_anechoic_ones(found):
    sounds = {r.sound.name for r in found("avsec4") if r.clip.role in ("talker", "mixture")}
    assert {"S00001_mix.wav", "S00001_target.wav", "S00002_mono_mix.wav", "S00002_target_mono.wav"} <= sounds
    assert not any("anechoic" in name for name in sounds)


@pytest.mark.parametrize(
    ("name", "speaker"),
    [("trainval/0af00UcTO-c/50001", "0af00UcTO-c"), ("0af0_UcTOSc_00002", "0af0_UcTOSc"), ("T037_EFJ_01324", "S00001")],
)
def test_avsec_speakers_are_talks_or_else_scenes(name, speaker, found):
    def rename(root):
        path = root / "metadata/scenes.train.json"
        path.write_text(json.dumps([row | {"target": {"name": name}} for row in json.loads(path.read_text())]))

    assert next(r for r in found("avsec3", rename) if r.clip.id == "talker-train-S00001").clip.speaker == speaker


@pytest.mark.parametrize("name", ["trainval/{talk}/5000{n}", "{talk}_5000{n}.wav"])
def test_avsec_competing_speakers_are_talks(name, found):
    def rename(root):
        path = root / "metadata/scenes.dev.json"
        rows = json.loads(path.read_text())
        for n, row in enumerate(row for row in rows if row["interferer"]["type"] == "speech"):
            row["interferer"]["name"] = name.format(talk=("0af00UcTOSc", "1bf00UcTOSc")[n // 2], n=n % 2)
        path.write_text(json.dumps(rows))

    found("avsec3")
    recordings = [r for r in found("avsec3", rename) if r.clip.role == "speech" and "dev" in r.clip.id]
    assert [r.clip.speaker for r in recordings] == 2 * ["0af00UcTOSc"] + 2 * ["1bf00UcTOSc"]
    assert all(len(splits) == 1 for splits in splits_by(assigned(recordings), lambda clip: clip.speaker).values())


def test_avsec_counts_what_it_leaves_out(found, capsys):
    def damage(root):
        (root / "train/scenes/S00002_target.wav").unlink()
        for path in (root / "dev/scenes").glob("S34527_*"):
            path.unlink()
        layouts.Names().sound(root / "dev/scenes/S99999_mixed.wav")

    recordings = found("avsec3", damage)
    line = capsys.readouterr().out
    assert "1 entries of the metadata have no files" in line and "1 scenes have no entry in the metadata" in line
    assert "2 scenes lack their mixture, target or video" in line and "2 scenes of eval/ have no target" in line
    assert not {"talker-train-S00002", "talker-dev-S99999"} & {recording.clip.id for recording in recordings}
    assert len(line.splitlines()) == 1


@pytest.mark.parametrize(
    ("corpus", "gone", "line"),
    [
        ("lrs3", "trainval/aFi83BHQsMa/00001.mp4", "1 texts have no video"),
        ("wham", "wham_noise/tr/01aa010a_1.3053_01po0310_-1.3053.wav", "1 rows of the metadata have no file"),
        ("cec2", "train/interferers/noise/CIN_fan_001.wav", "1 entries of the lists have no file"),
        ("cec2", "metadata/masker_speech_list.json", "6 files are in no list"),
        ("ntcd_timit", "Raw/02M/sa1Raw.npy", "1 clean files have no pictures, 4 noisy files have no clean file"),
        ("ntcd_timit", "Clean/volunteers/01M/straightcam/sa1.wav", "1 pictures have no clean file, 4 noisy files"),
    ],
)
def test_what_a_corpus_lacks_is_counted_in_one_line(corpus, gone, line, found, capsys):
    found(corpus)
    assert not capsys.readouterr().out
    found(corpus, lambda root: (root / gone).unlink())
    (printed,) = capsys.readouterr().out.splitlines()
    assert line in printed


def test_ntcd_timit_prefers_lip_pictures_and_tests_its_own_speakers(found):
    def both(root):
        layouts.Names().video(root / "volunteers/02M/Clips/straightcam/SA1.mp4")
        layouts.Names().video(root / "volunteers/01M/Clips/30degcam/sa1.mp4")

    talkers = {r.clip.id: r for r in found("ntcd_timit", both) if r.clip.role == "talker"}
    assert talkers["talker-02M-sa1"].lips.name == "sa1Raw.npy" and talkers["talker-02M-sa1"].video is None
    assert talkers["talker-01M-sa1"].video.parent.name == "straightcam"
    tested = {clip.speaker for clip in assigned(found("ntcd_timit"), "ntcd_timit") if clip.split == "test"}
    assert tested == {"09F", "24M"}


def test_ntcd_timit_takes_the_splits_of_its_features(found):
    def divide(root):
        for part, speakers in (("train", ("01M", "02M", "09F")), ("dev", ("03F", "04M")), ("test", ("24M",))):
            for speaker in speakers:
                (root / "matlab_raw" / part / "volunteers" / speaker).mkdir(parents=True)

    clips = assigned(found("ntcd_timit", divide), "ntcd_timit")
    splits = splits_by(clips, lambda clip: clip.speaker)
    assert {speaker for speaker, own in splits.items() if own == {"val"}} == {"03F", "04M"}
    assert splits["09F"] == {"train"} and splits["24M"] == {"test"}


def test_ntcd_timit_leaves_out_noisy_files_without_an_snr(found, capsys):
    ids = [recording.clip.id for recording in found("ntcd_timit")]
    below = "volunteers/01M/straightcam/sa1.wav"

    def more(root):
        for folder in ("Babble", "Babble/clean"):
            layouts.Names().sound(root / folder / below)

    assert [recording.clip.id for recording in found("ntcd_timit", more)] == ids
    assert "2 noisy files lie in no folder of an SNR" in capsys.readouterr().out


def test_ntcd_timit_mixtures_are_named_after_noise_and_snr(found):
    mixture = next(r for r in found("ntcd_timit") if r.clip.id == "mixture-Babble--5-09F-sa1")
    assert (mixture.snr_db, mixture.clip.category, mixture.mixture_of) == (-5.0, "babble", "talker-09F-sa1")


@pytest.mark.parametrize(
    ("corpus", "gone", "reason"),
    [
        ("lrs3", ["pretrain", "trainval", "test"], "has neither pretrain/ nor trainval/ nor test/; LRS3 unpacks"),
        ("lrs3", ["test"], "has no test/"),
        ("lrs3", ["pretrain", "trainval"], "has test/ but neither pretrain/ nor trainval/"),
        ("wham", ["wham_noise/cv"], "has no cv/*.wav"),
        ("cec2", ["dev"], "has no dev/interferers/noise/"),
        ("avsec3", ["dev"], "has no sound in dev/scenes/"),
        ("avsec4", ["dev", "train"], "has no sound in dev/scenes/ and none in train/scenes/"),
        ("ntcd_timit", ["Clean"], "has no sound in Clean/"),
        ("ntcd_timit", ["Raw", "volunteers"], "has no lip pictures"),
        ("folders", ["videos/ann", "videos/bob", "videos/cem", "videos/dan"], "holds no talker recording"),
    ],
)
def test_a_missing_part_is_named(corpus, gone, reason, found, tmp_path):
    def remove(root):
        for name in gone:
            (root / name).rename(root / f"elsewhere-{name.replace('/', '-')}")
            for path in (root / f"elsewhere-{name.replace('/', '-')}").rglob("*.*"):
                path.unlink()

    with pytest.raises(UserError) as error:
        found(corpus, remove)
    assert str(error.value).startswith("--data.root: ") and reason in str(error.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [("[", "cannot be read"), ("{}", "must be a list of objects"), ('[{"dataset": "train"}]', "has no 'scene'")],
)
def test_damaged_metadata_is_named(content, reason, found):
    with pytest.raises(UserError, match=f"scenes.train.json: .*{reason}"):
        found("avsec3", lambda root: (root / "metadata/scenes.train.json").write_text(content))


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"corpus": "lrs3"}, "noise"),
        ({"corpus": "folders", "noise": "noise"}, "speech"),
        ({"corpus": "ntcd_timit", "conditions": ["scene", "noise"]}, "noise"),
        ({"corpus": "folders", "conditions": ["noise"]}, "noise"),
        ({"corpus": "ntcd_timit"}, None),
        ({"corpus": "avsec3"}, None),
        ({"corpus": "folders", "noise": "noise", "conditions": ["noise", "same_talker"]}, None),
    ],
)
def test_speech_and_noise_are_asked_for_where_they_are_needed(settings, key, tmp_path):
    READERS[settings["corpus"]][1](tmp_path, layouts.Names())
    root = tmp_path / "videos" if settings["corpus"] == "folders" else tmp_path
    if "noise" in settings:
        settings = settings | {"noise": str(tmp_path / "noise")}
    if key is None:
        assert preparing.recordings(DataSettings(root=str(root), **settings))
    else:
        with pytest.raises(UserError, match=f"--data.{key}: not given"):
            preparing.recordings(DataSettings(root=str(root), **settings))


def test_cec2_brings_the_speech_that_folders_would_need(tmp_path):
    layouts.folders(tmp_path, layouts.Names())
    layouts.cec2(tmp_path / "cec2/clarity_data", layouts.Names())
    settings = DataSettings(
        corpus="folders", root=str(tmp_path / "videos"), noise=str(tmp_path / "cec2"), noise_corpus="cec2"
    )
    roles = {recording.clip.role for recording in preparing.recordings(settings)}
    assert roles == {"talker", "speech", "noise"}


def test_linked_folders_are_read_and_none_under_two_names(found, tmp_path):
    ids = [recording.clip.id for recording in found("folders")]
    videos = tmp_path / "videos"
    (videos / "bob").rename(tmp_path / "bob")
    (videos / "bob").symlink_to(tmp_path / "bob")
    (videos / "aaron").symlink_to("ann")  # before its target in the alphabet
    (videos / "ann/loop").symlink_to(videos)
    assert [recording.clip.id for recording in found("folders")] == ids


def test_videos_outside_of_a_speakers_folder_are_counted(found, tmp_path, capsys):
    found("folders", lambda root: (root / "videos/eve.mp4").touch())
    assert "1 files lie in no speaker's folder" in "".join(capsys.readouterr())


def test_folders_named_for_the_splits_are_the_splits(tmp_path):
    for name in ("train/ann/1.mp4", "train/bob/1.mp4", "val/cem/1.mp4", "test/dan/1.mp4", "test/train/1.mp4"):
        (tmp_path / "videos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "videos" / name).touch()
    for name in ("train/rain_0.wav", "val/rain_1.wav", "test/esc/dog_1-7-A.wav"):
        (tmp_path / "noise" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "noise" / name).touch()
    talkers, noises = folders.read(tmp_path / "videos", "--data.root"), folders.read_noise(tmp_path / "noise", "")
    clips = assigned([*talkers, *noises], "folders")
    assert {clip.speaker: clip.split for clip in clips if clip.role == "talker"} == {
        "ann": "train",
        "bob": "train",
        "cem": "val",
        "dan": "test",
        "train": "test",
    }
    assert all(clip.split == clip.source.split("/")[0] for clip in clips)


@pytest.mark.parametrize("other", ["eve/1.mp4", "train/1.mp4"])
def test_a_speaker_may_be_called_train(tmp_path, other):
    for name in ("train/ann/1.mp4", "val/cem/1.mp4", "test/dan/1.mp4", other):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    recordings = folders.read(tmp_path, "--data.root")
    assert {"train", "val", "test"} <= {recording.clip.speaker for recording in recordings}
    assert all(recording.split is None for recording in recordings)
