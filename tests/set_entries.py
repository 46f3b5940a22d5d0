"""What becomes of the samples of set_samples.py, entry by entry."""

from data_prep.sets import entry as entry_lib

BY = "http://creativecommons.org/licenses/by/3.0/"
BY_SA = "http://creativecommons.org/licenses/by-sa/3.0/"
ZERO = "http://creativecommons.org/publicdomain/zero/1.0/"


def clip(name, source, media, *, events=(), **rest):
  made = tuple(
    entry_lib.Event(start=start, end=end, label=label)
    for start, end, label in events
  )
  return entry_lib.Entry(
    id=name, source=source, media=media, events=made, **rest
  )


CONTACTS = {
  "labels": ("wood hit", "hit", "leaf scratch"),
  "events": (
    (0.25, 0.25, "wood hit"),
    (0.75, 0.75, "hit"),
    (1.25, 1.25, "leaf scratch"),
  ),
}
DOOR = {
  "captions": ("a wooden door slams",),
  "labels": ("Doors Windows",),
  "events": ((0.25, 0.5, "Doors Windows"), (1.0, 1.5, "Doors Windows")),
  "licence": "CC0-1.0",
}
BALL = "bouncing ball (not juggling)"
# Of each sample: the entries by split, what is missing, what is unlisted.
EXPECTED = {
  "audiocaps": (
    {
      "train": [
        clip(
          "aaaaaaaaaa1_000130",
          "aaaaaaaaaa1",
          "train/Yaaaaaaaaaa1.wav",
          captions=("A dog barks, then rain falls",),
        )
      ],
      "validation": [
        clip(
          "bbbbbbbbbb2_000020",
          "bbbbbbbbbb2",
          "val/bbbbbbbbbb2_20.wav",
          captions=tuple(f"Rain falls {i}" for i in range(5)),
        )
      ],
      "test": [
        clip(
          "cccccccccc3_000005",
          "cccccccccc3",
          "test/303.wav",
          captions=tuple(f"A bell rings {i}" for i in range(5)),
        )
      ],
    },
    ["ddddddddd-4_000000"],
    ["test/stray.wav"],
  ),
  "audioset": (
    {
      "train": [
        clip(
          "--bbbbbbbb2_0",
          "--bbbbbbbb2",
          "unbalanced/--bbbbbbbb2_0_10.mp4",
          labels=("Bark, of a dog",),
        )
      ],
      "validation": [
        clip(
          "aaaaaaaaaa1_30000",
          "aaaaaaaaaa1",
          "balanced/Yaaaaaaaaaa1.mp4",
          labels=("Bark, of a dog", "Rain"),
        )
      ],
      "test": [
        clip(
          "ccccccccc_3_5000",
          "ccccccccc_3",
          "eval/ccccccccc_3_5.000_12.500.mp4",
          labels=("Rain",),
        )
      ],
    },
    ["ddddddddd-4_10000"],
    ["eval/stray.mp4"],
  ),
  "audioset_strong": (
    {
      "train": [
        clip(
          "aaaaaaaaa_1_30000",
          "aaaaaaaaa_1",
          "aaaaaaaaa_1_30000.mp4",
          labels=("Bark", "Rain (on roof)"),
          events=(
            (0.627, 1.237, "Bark"),
            (0.5, 0.75, "Rain (on roof)"),
            (1.5, 1.75, "Bark"),
          ),
        )
      ],
      "validation": [
        clip(
          "bbbbbbbbbb2_0",
          "bbbbbbbbbb2",
          "bbbbbbbbbb2_000000.mp4",
          labels=("Bark",),
          events=((0.0, 2.0, "Bark"),),
        )
      ],
      "test": [
        clip(
          "cccccccccc3_20000",
          "cccccccccc3",
          "Ycccccccccc3_20.000_30.000.mp4",
          labels=("Rain (on roof)",),
          events=((0.0, 1.0, "Rain (on roof)"),),
        )
      ],
    },
    ["ddddddddd-4_0"],
    ["stray.mp4"],
  ),
  "bbc": (
    {
      "train": [
        clip(
          "07000002",
          "07000002",
          "sounds/A/Door _ slam.07000002.wav",
          captions=("Door / slam",),
        )
      ],
      "validation": [
        clip(
          "07000001",
          "07000001",
          "07000001.wav",
          captions=("Footsteps: on gravel, slow",),
          labels=("Feet: Gravel",),
        )
      ],
    },
    ["07000003"],
    ["sounds/stray.wav"],
  ),
  "common_voice": (
    {
      split: [
        clip(
          f"common_voice_eo_{i}",
          speaker,
          f"cv-corpus/eo/clips/common_voice_eo_{i}.mp3",
        )
        for speaker, i in own
      ]
      for split, own in {
        "train": (("speaker1", 1), ("speaker1", 2)),
        "validation": (("speaker2", 3),),
        "test": (("speaker3", 4),),
      }.items()
    },
    ["common_voice_eo_9"],
    ["cv-corpus/eo/clips/common_voice_eo_100.mp3"],
  ),
  "cond_prompt_bank": (
    {
      "train": [
        clip("door_1-b222c10d", "door 1", "sounds/door1.wav", **DOOR),
        clip("door_2-cd70b18b", "door 2", "sounds/door2.wav", **DOOR),
      ],
      "validation": [
        clip("door_0-8df8b681", "door 0", "sounds/door0.wav", **DOOR)
      ],
    },
    ["door_3-4cbae5e8"],
    ["sounds/door9.wav"],
  ),
  "countix_av": (
    {
      "train": [
        clip(
          "aaaaaaaaaa1_000017_000027",
          "aaaaaaaaaa1",
          "train/aaaaaaaaaa1_000017_000027.mp4",
          labels=(BALL,),
          events=((0.0, 0.5, BALL), (1.0, 1.75, BALL)),
        )
      ],
      "validation": [
        clip(
          "bbbbbbbbbb2_000000_000010",
          "bbbbbbbbbb2",
          "val/bbbbbbbbbb2.mp4",
          labels=("clapping",),
          events=((0.25, 1.5, "clapping"),),
        )
      ],
      "test": [
        clip(
          "cccccccccc3_000005_000015",
          "cccccccccc3",
          "test/cccccccccc3_000005_000015.mp4",
          events=((0.5, 1.5, ""),),
        )
      ],
    },
    ["ddddddddd-4_000000_000010"],
    ["test/stray.mp4"],
  ),
  "favdbench": (
    {
      split: [
        clip(
          name,
          name,
          f"videos/{folder}/{name}.mp4",
          captions=(f'A "{name}" rings. It is loud.',),
        )
      ]
      for split, folder, name in (
        ("train", "train", "clip_a1"),
        ("validation", "val", "clip_b2"),
        ("test", "test", "clip_c3"),
      )
    },
    ["clip_gone"],
    ["videos/stray.mp4"],
  ),
  "folder": (
    {
      "train": [
        clip(
          "a.mp4",
          "walk",
          "a.mp4",
          captions=("a dog barks", "a dog, and rain"),
          labels=("dog", "rain"),
        ),
        clip("below_b.mp4-ecc37366", "walk", "below/b.mp4", captions=("rain",)),
        clip("d.mp4", "d.mp4", "d.mp4"),
      ],
      "validation": [clip("e__.mp4-4de26900", "e é.mp4", "e é.mp4")],
      "test": [clip("c.mp4", "c.mp4", "c.mp4", captions=("a bell",))],
    },
    [],
    [],
  ),
  "fsd50k": (
    {
      "train": [
        clip(
          "1001",
          "1001",
          "FSD50K.dev_audio/1001.wav",
          labels=("Electric guitar", "Music"),
          licence=BY,
        )
      ],
      "validation": [
        clip(
          "1002",
          "1002",
          "FSD50K.dev_audio/1002.wav",
          labels=("Rain",),
          licence=ZERO,
        )
      ],
      "test": [
        clip(
          "1003",
          "1003",
          "FSD50K.eval_audio/1003.wav",
          labels=("Rain", "Water"),
          licence=BY,
        )
      ],
    },
    ["1009"],
    ["FSD50K.eval_audio/9999.wav"],
  ),
  "greatest_hits": (
    {
      split: [
        clip(
          f"2015-02-16-16-49-0{i}",
          f"2015-02-16-16-49-0{i}",
          f"vis-data/2015-02-16-16-49-0{i}_denoised.mp4",
          **CONTACTS,
        )
      ]
      for i, split in ((1, "train"), (0, "validation"), (2, "test"))
    },
    ["2015-02-16-16-49-03"],
    ["vis-data/stray.mp4"],
  ),
  "hd_vila": (
    {
      "train": [
        clip(
          "bbbbbbbbbb2.0",
          "bbbbbbbbbb2",
          "video_clips/bbbbbbbbbb2/bbbbbbbbbb2.0.mp4",
        )
      ],
      "validation": [
        clip(
          f"aaaaaaaaaa1.{i}",
          "aaaaaaaaaa1",
          "download_videos/aaaaaaaaaa1.mp4",
          start=start,
          end=end,
        )
        for i, start, end in ((0, 0.0, 1.0), (1, 1.0, 2.0))
      ],
    },
    ["bbbbbbbbbb2.1", "ddddddddd-4"],
    ["video_clips/stray.mp4"],
  ),
  "mtg_jamendo": (
    {
      "train": [
        clip(
          "track_0000948",
          "artist_000087",
          "raw_30s/audio/48/948.mp3",
          labels=("rock", "guitar", "happy"),
          licence=BY,
        )
      ],
      "validation": [
        clip(
          "track_0001950",
          "artist_000089",
          "raw_30s/audio-low/50/1950.low.mp3",
          labels=("jazz",),
          licence=BY_SA,
        )
      ],
      "test": [
        clip(
          "track_0001951",
          "artist_000090",
          "raw_30s/audio-low/51/1951.low.mp3",
          labels=("folk",),
        )
      ],
    },
    ["track_0000949"],
    ["raw_30s/audio/99/999.mp3"],
  ),
  "urbansound8k": (
    {
      "train": [
        clip(
          f"1001-3-0-{i}",
          "1001",
          f"audio/fold5/1001-3-0-{i}.wav",
          labels=("dog bark",),
        )
        for i in (0, 1)
      ],
      "validation": [
        clip(
          "1002-5-0-0",
          "1002",
          "audio/fold9/1002-5-0-0.wav",
          labels=("engine idling",),
        )
      ],
      "test": [
        clip(
          "1003-8-0-0",
          "1003",
          "audio/fold10/1003-8-0-0.wav",
          labels=("siren",),
        )
      ],
    },
    ["1004-8-0-0"],
    ["audio/fold10/stray.wav"],
  ),
  "valor": (
    {
      split: [
        clip(
          name,
          name[:11],
          f"videos/{name}.mp4",
          captions=(f"A dog in {published} barks.",),
        )
      ]
      for split, published, name in (
        ("train", "train", "aaaaaaaaa_1_30.000_40.000"),
        ("validation", "val", "bbbbbbbbbb2_0.000_10.000"),
        ("test", "test", "cccccccccc3_5.000_15.000"),
      )
    },
    ["ddddddddd-4_0.000_10.000"],
    ["videos/stray.mp4"],
  ),
  "vggsound": (
    {
      "train": [
        clip(
          "-bbbbbbbbb2_000230",
          "-bbbbbbbbb2",
          "train/-bbbbbbbbb2_000230.mp4",
          labels=("raining",),
        )
      ],
      "validation": [
        clip(
          f"aaaaaaaaaa1_0000{start}",
          "aaaaaaaaaa1",
          f"train/aaaaaaaaaa1_0000{start}.mp4",
          labels=("dog barking",),
        )
        for start in ("01", "30")
      ],
      "test": [
        clip(
          "ccccccccc_3_000007",
          "ccccccccc_3",
          "test/ccccccccc_3_000007.mp4",
          labels=("bee, wasp, etc. buzzing",),
        )
      ],
    },
    ["ddddddddd-4_000007"],
    ["test/stray.mp4"],
  ),
  "vidal": (
    {
      "train": [
        clip(
          "bbbbbbbbbb2",
          "bbbbbbbbbb2",
          "coco_vat_1/bbbbbbbbbb2.mp4",
          captions=("polished",),
        ),
        clip(
          "cccccccccc3",
          "cccccccccc3",
          "coco_vat_2/cccccccccc3.mp4",
          captions=("plain",),
        ),
      ],
      "validation": [
        clip(
          "aaaaaaaaaa1",
          "aaaaaaaaaa1",
          "coco_vat_1/aaaaaaaaaa1.mp4",
          captions=("splash",),
        )
      ],
    },
    ["ddddddddd-4"],
    ["coco_vat_2/stray.mp4"],
  ),
}
