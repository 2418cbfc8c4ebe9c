"""By which names sound and video files are found in folders; what they hold, their content says."""

AUDIO_SUFFIXES = tuple(
    ".wav .flac .ogg .mp3 .aiff .aif .aac .ac3 .amr .au .caf .m4a .mka .oga .opus .sph .w64 .wma".split()
)
VIDEO_SUFFIXES = tuple(".mp4 .mpg .mpeg .avi .mov .mkv .webm .m4v .3gp .flv .m2ts .mts .ogv .ts .vob .wmv".split())
