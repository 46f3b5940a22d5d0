"""Small stand-ins for public data sets, each in the layout it is published in.

Ids, labels and captions are made up. `media(path, seconds)` writes a file of
the kind that its suffix says; its folder is there. Each sample has something
to train on and to validate on, one clip that is annotated and not there, and
one file that no annotation names.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable, Mapping

Media = Callable[[pathlib.Path, float], None]
SECONDS = 2.0


def _writer(root: pathlib.Path, media: Media) -> Callable[[str], None]:
  def write(name: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    media(path, SECONDS)

  return write


def _text(root: pathlib.Path, name: str, *lines: str) -> None:
  path = root / name
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _json(root: pathlib.Path, name: str, value: object) -> None:
  _text(root, name, json.dumps(value))


def vggsound(root: pathlib.Path, media: Media) -> None:
  _text(
    root,
    "vggsound.csv",
    "aaaaaaaaaa1,1,dog barking,train",
    "aaaaaaaaaa1,30,dog barking,train",
    "-bbbbbbbbb2,230,raining,train",
    'ccccccccc_3,7,"bee, wasp, etc. buzzing",test',
    "ddddddddd-4,7,gone,train",
  )
  write = _writer(root, media)
  write("train/aaaaaaaaaa1_000001.mp4")
  write("train/aaaaaaaaaa1_000030.mp4")
  write("train/-bbbbbbbbb2_000230.mp4")
  write("test/ccccccccc_3_000007.mp4")
  write("test/stray.mp4")


def audioset(root: pathlib.Path, media: Media) -> None:
  header = "# YTID, start_seconds, end_seconds, positive_labels"
  notes = "# Segments csv made up", "# num_ytids=2, num_segs=2"
  _text(
    root,
    "balanced_train_segments.csv",
    *notes,
    header,
    'aaaaaaaaaa1, 30.000, 40.000, "/m/0one,/t/dd0two"',
  )
  _text(
    root,
    "unbalanced_train_segments.csv",
    *notes,
    header,
    '--bbbbbbbb2, 0.000, 10.000, "/m/0one"',
    'ddddddddd-4, 10.000, 20.000, "/m/0one"',
  )
  _text(
    root,
    "eval_segments.csv",
    *notes,
    header,
    'ccccccccc_3, 5.000, 12.500, "/t/dd0two"',
  )
  _text(
    root,
    "class_labels_indices.csv",
    "index,mid,display_name",
    '0,/m/0one,"Bark, of a dog"',
    "1,/t/dd0two,Rain",
  )
  write = _writer(root, media)
  write("balanced/Yaaaaaaaaaa1.mp4")
  write("unbalanced/--bbbbbbbb2_0_10.mp4")
  write("eval/ccccccccc_3_5.000_12.500.mp4")
  write("eval/stray.mp4")


def audioset_strong(root: pathlib.Path, media: Media) -> None:
  header = "segment_id\tstart_time_seconds\tend_time_seconds\tlabel"
  _text(
    root,
    "audioset_train_strong.tsv",
    header,
    "aaaaaaaaa_1_30000\t0.627\t1.237\t/m/0one",
    "aaaaaaaaa_1_30000\t0.500\t0.750\t/t/dd0two",
    "aaaaaaaaa_1_30000\t1.500\t1.750\t/m/0one",
    "bbbbbbbbbb2_0\t0.000\t2.000\t/m/0one",
    "ddddddddd-4_0\t0.000\t2.000\t/m/0one",
  )
  _text(
    root,
    "audioset_eval_strong.tsv",
    header,
    "cccccccccc3_20000\t0.000\t1.000\t/t/dd0two",
  )
  _text(
    root,
    "mid_to_display_name.tsv",
    "/m/0one\tBark",
    "/t/dd0two\tRain (on roof)",
  )
  write = _writer(root, media)
  write("aaaaaaaaa_1_30000.mp4")
  write("bbbbbbbbbb2_000000.mp4")
  write("Ycccccccccc3_20.000_30.000.mp4")
  write("stray.mp4")


def audiocaps(root: pathlib.Path, media: Media) -> None:
  header = "audiocap_id,youtube_id,start_time,caption"
  _text(
    root,
    "dataset/train.csv",
    header,
    '101,aaaaaaaaaa1,130,"A dog barks, then rain falls"',
    "102,ddddddddd-4,0,A clip that is gone",
  )
  _text(
    root,
    "dataset/val.csv",
    header,
    *(f"{201 + i},bbbbbbbbbb2,20,Rain falls {i}" for i in range(5)),
  )
  _text(
    root,
    "dataset/test.csv",
    header,
    *(f"{301 + i},cccccccccc3,5,A bell rings {i}" for i in range(5)),
  )
  write = _writer(root, media)
  write("train/Yaaaaaaaaaa1.wav")
  write("val/bbbbbbbbbb2_20.wav")
  write("test/303.wav")
  write("test/stray.wav")


def valor(root: pathlib.Path, media: Media) -> None:
  clips = {
    "train": ("aaaaaaaaa_1_30.000_40.000", "ddddddddd-4_0.000_10.000"),
    "val": ("bbbbbbbbbb2_0.000_10.000",),
    "test": ("cccccccccc3_5.000_15.000",),
  }
  write = _writer(root, media)
  for split, ids in clips.items():
    _json(
      root,
      f"desc_{split}.json",
      [{"video_id": one, "desc": f"A dog in {split} barks."} for one in ids],
    )
    write(f"videos/{ids[0]}.mp4")
  write("videos/stray.mp4")


def vidal(root: pathlib.Path, media: Media) -> None:
  def clip(number: int, **captions: str) -> dict:
    return {
      "folder": f"coco_vat_{number}",
      "ofa": [f"a frame {i}" for i in range(8)],
      "raw": "LOOK #shorts",
      **captions,
    }

  _json(
    root,
    "id2title_folder_caps.json",
    {
      "aaaaaaaaaa1": clip(1, mplug="m", polish_mplug="p", sound_mplug="splash"),
      "bbbbbbbbbb2": clip(1, mplug="m", polish_mplug="polished"),
      "cccccccccc3": clip(2, mplug="plain"),
      "ddddddddd-4": clip(2, mplug="gone"),
    },
  )
  write = _writer(root, media)
  write("coco_vat_1/aaaaaaaaaa1.mp4")
  write("coco_vat_1/bbbbbbbbbb2.mp4")
  write("coco_vat_2/cccccccccc3.mp4")
  write("coco_vat_2/stray.mp4")


def bbc(root: pathlib.Path, media: Media) -> None:
  _text(
    root,
    "BBCSoundEffects.csv",
    "location,description,secs,category,CDNumber,CDName,tracknum",
    '"07000001.wav","Footsteps: on gravel, slow",12,"Feet: Gravel","X1","A",1',
    '"07000002.wav","Door / slam",2,"","X1","A",2',
    '"07000003.wav","A clip that is gone",2,"Doors","X2","B",1',
  )
  write = _writer(root, media)
  write("07000001.wav")
  write("sounds/A/Door _ slam.07000002.wav")
  write("sounds/stray.wav")


def favdbench(root: pathlib.Path, media: Media) -> None:
  write = _writer(root, media)
  for split, names in {
    "train": ("clip_a1", "clip_gone"),
    "val": ("clip_b2",),
    "test": ("clip_c3",),
  }.items():
    _text(
      root,
      f"metadata/{split}.caption.tsv",
      *(
        f"{split}/{name}.mp4\t"
        + json.dumps([{"caption": f'A "{name}" rings. It is loud.'}])
        for name in names
      ),
    )
    write(f"videos/{split}/{names[0]}.mp4")
  write("videos/stray.mp4")


def hd_vila(root: pathlib.Path, media: Media) -> None:
  def video(name: str, *spans: tuple[str, str]) -> str:
    return json.dumps(
      {
        "video_id": name,
        "url": f"https://example.org/{name}",
        "clip": [
          {"clip_id": f"{name}.{i}.mp4", "span": list(span)}
          for i, span in enumerate(spans)
        ],
      }
    )

  first = ("00:00:00.000", "00:00:01.000")
  _text(
    root,
    "metafiles/meta_part0.jsonl",
    video("aaaaaaaaaa1", first, ("00:00:01.000", "00:00:02.000")),
    video("bbbbbbbbbb2", first, ("00:01:00.500", "01:01:02.750")),
  )
  _text(root, "metafiles/meta_part1.jsonl", video("ddddddddd-4", first))
  write = _writer(root, media)
  write("download_videos/aaaaaaaaaa1.mp4")
  write("video_clips/bbbbbbbbbb2/bbbbbbbbbb2.0.mp4")
  write("video_clips/stray.mp4")


def greatest_hits(root: pathlib.Path, media: Media) -> None:
  days = [f"2015-02-16-16-49-0{i}" for i in range(4)]
  write = _writer(root, media)
  for day in days[:3]:
    _text(
      root,
      f"vis-data/{day}_times.txt",
      "0.250000 wood hit static",
      "0.750000 None hit None",
      "1.000000 None None None",
      "1.250000 leaf scratch deform",
    )
    for kind in ("denoised.mp4", "mic.mp4", "denoised.wav", "mic.wav"):
      write(f"vis-data/{day}_{kind}")
  _text(root, "vis-data/train.txt", days[0], days[1], days[3])
  _text(root, "vis-data/test.txt", days[2])
  write("vis-data/stray.mp4")


def countix_av(root: pathlib.Path, media: Media) -> None:
  times = "kinetics_start,kinetics_end,repetition_start,repetition_end,count"
  _text(
    root,
    "CountixAV_train.csv",
    f"video_id,class,{times}",
    "aaaaaaaaaa1,bouncing ball (not juggling),17,27,17.000000,17.500000,2.0",
    "aaaaaaaaaa1,bouncing ball (not juggling),17,27,18.000000,18.750000,3.0",
    "ddddddddd-4,clapping,0,10,0.000000,1.500000,4.0",
  )
  _text(
    root,
    "CountixAV_val.csv",
    f"video_id,class,{times}",
    "bbbbbbbbbb2,clapping,0,10,0.250000,1.500000,4.0",
  )
  _text(
    root,
    "CountixAV_test.csv",
    f"video_id,{times}",
    "cccccccccc3,5,15,5.500000,6.500000,4.0",
  )
  write = _writer(root, media)
  write("train/aaaaaaaaaa1_000017_000027.mp4")
  write("val/bbbbbbbbbb2.mp4")
  write("test/cccccccccc3_000005_000015.mp4")
  write("test/stray.mp4")


def fsd50k(root: pathlib.Path, media: Media) -> None:
  _text(
    root,
    "FSD50K.ground_truth/dev.csv",
    "fname,labels,mids,split",
    '1001,"Electric_guitar,Music","/m/0a,/m/0b",train',
    "1002,Rain,/m/0c,val",
    "1009,Rain,/m/0c,train",
  )
  _text(
    root,
    "FSD50K.ground_truth/eval.csv",
    "fname,labels,mids",
    '1003,"Rain,Water","/m/0c,/m/0d"',
  )
  _text(root, "FSD50K.ground_truth/vocabulary.csv", "0,Rain,/m/0c")
  info = {"title": "t", "description": "d", "tags": [], "uploader": "u"}
  by = "http://creativecommons.org/licenses/by/3.0/"
  zero = "http://creativecommons.org/publicdomain/zero/1.0/"
  _json(
    root,
    "FSD50K.metadata/dev_clips_info_FSD50K.json",
    {
      "1001": {**info, "license": by},
      "1002": {**info, "license": zero},
      "1009": {**info, "license": zero},
    },
  )
  _json(
    root,
    "FSD50K.metadata/eval_clips_info_FSD50K.json",
    {"1003": {**info, "license": by}},
  )
  write = _writer(root, media)
  write("FSD50K.dev_audio/1001.wav")
  write("FSD50K.dev_audio/1002.wav")
  write("FSD50K.eval_audio/1003.wav")
  write("FSD50K.eval_audio/9999.wav")


def urbansound8k(root: pathlib.Path, media: Media) -> None:
  _text(
    root,
    "metadata/UrbanSound8K.csv",
    "slice_file_name,fsID,start,end,salience,fold,classID,class",
    "1001-3-0-0.wav,1001,0.0,0.317551,1,5,3,dog_bark",
    "1001-3-0-1.wav,1001,4.5,8.5,2,5,3,dog_bark",
    "1002-5-0-0.wav,1002,0.0,4.0,1,9,5,engine_idling",
    "1003-8-0-0.wav,1003,0.0,4.0,1,10,8,siren",
    "1004-8-0-0.wav,1004,0.0,4.0,1,1,8,siren",
  )
  write = _writer(root, media)
  write("audio/fold5/1001-3-0-0.wav")
  write("audio/fold5/1001-3-0-1.wav")
  write("audio/fold9/1002-5-0-0.wav")
  write("audio/fold10/1003-8-0-0.wav")
  write("audio/fold10/stray.wav")


def mtg_jamendo(root: pathlib.Path, media: Media) -> None:
  header = "TRACK_ID\tARTIST_ID\tALBUM_ID\tPATH\tDURATION\tTAGS"
  rows = {
    "train": (
      "track_0000948\tartist_000087\talbum_000149\t48/948.mp3\t212.7\t"
      "genre---rock\tinstrument---guitar\tmood/theme---happy",
      "track_0000949\tartist_000088\talbum_000150\t49/949.mp3\t200.0\t"
      "genre---rock",
    ),
    "validation": (
      "track_0001950\tartist_000089\talbum_000151\t50/1950.mp3\t200.0\t"
      "genre---jazz",
    ),
    "test": (
      "track_0001951\tartist_000090\talbum_000152\t51/1951.mp3\t200.0\t"
      "genre---folk",
    ),
  }
  for split, own in rows.items():
    for number in (0, 1):  # the other split must not be taken
      folder = f"data/splits/split-{number}"
      kept = own if number == 0 else ()
      _text(root, f"{folder}/autotagging-{split}.tsv", header, *kept)
  _text(
    root,
    "audio_licenses.txt",
    "48/948.mp3",
    "A Song by Someone from Jamendo: http://example.org/track/948",
    "Available under a Creative Commons Attribution license: "
    "http://creativecommons.org/licenses/by/3.0/",
    "",
    "50/1950.mp3",
    "Another by Nobody from Jamendo: http://example.org/track/1950",
    "Available under a Creative Commons Attribution-ShareAlike license: "
    "http://creativecommons.org/licenses/by-sa/3.0/",
  )
  write = _writer(root, media)
  write("raw_30s/audio/48/948.mp3")
  write("raw_30s/audio-low/50/1950.low.mp3")
  write("raw_30s/audio-low/51/1951.low.mp3")
  write("raw_30s/audio/99/999.mp3")


def common_voice(root: pathlib.Path, media: Media) -> None:
  header = "client_id\tpath\tsentence\tup_votes\tdown_votes\tage\tlocale"
  rows = {
    "train": (("speaker1", 1), ("speaker1", 2), ("speaker9", 9)),
    "dev": (("speaker2", 3),),
    "test": (("speaker3", 4),),
  }
  write = _writer(root, media)
  for split, own in rows.items():
    _text(
      root,
      f"cv-corpus/eo/{split}.tsv",
      header,
      *(
        f'{who}\tcommon_voice_eo_{i}.mp3\t"Saluton, mondo\t2\t0\t\teo'
        for who, i in own
      ),
    )
  for i in (1, 2, 3, 4, 100):
    write(f"cv-corpus/eo/clips/common_voice_eo_{i}.mp3")


def cond_prompt_bank(root: pathlib.Path, media: Media) -> None:
  _text(
    root,
    "cond_prompt_bank.jsonl",
    *(
      json.dumps(
        {
          "id": f"door {i}",
          "audio": f"sounds/door{i}.wav",
          "text": "a wooden door slams",
          "category": "Doors Windows",
          "events": [[0.25, 0.5], [1.0, 1.5]],
          "license": "CC0-1.0",
        }
      )
      for i in range(4)
    ),
  )
  write = _writer(root, media)
  for i in (0, 1, 2, 9):
    write(f"sounds/door{i}.wav")


def folder(root: pathlib.Path, media: Media) -> None:
  _text(
    root,
    "captions.csv",
    "file,caption,label,source,split",
    "a.mp4,a dog barks,dog,walk,",
    '"a.mp4","a dog, and rain",rain,walk,',
    "below/b.mp4,rain,,walk,",
    "c.mp4,a bell,,,test",
  )
  write = _writer(root, media)
  for name in ("a.mp4", "below/b.mp4", "c.mp4", "d.mp4", "e é.mp4"):
    write(name)


SAMPLES: Mapping[str, Callable[[pathlib.Path, Media], None]] = {
  function.__name__: function
  for function in (
    audiocaps,
    audioset,
    audioset_strong,
    bbc,
    common_voice,
    cond_prompt_bank,
    countix_av,
    favdbench,
    folder,
    fsd50k,
    greatest_hits,
    hd_vila,
    mtg_jamendo,
    urbansound8k,
    valor,
    vggsound,
    vidal,
  )
}
