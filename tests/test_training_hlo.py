"""Collectives read off programs, as TPUs' and processors' texts have them."""

import pytest

from vta.training import hlo

# By hand, in the forms that libtpu 0.0.42 writes, most attributes left out.
PROGRAM = """HloModule jit_step, is_scheduled=true

%add.1 (x: bf16[], y: bf16[]) -> bf16[] {
  %x = bf16[] parameter(0)
  %y = bf16[] parameter(1)
  ROOT %s = bf16[] add(%x, %y)
}

%all-reduce-scatter.1 (input: bf16[16,8]) -> bf16[4,8] {
  %input = bf16[16,8]{1,0:T(8,128)(2,1)} parameter(0)
  %all-reduce.1 = bf16[16,8]{1,0:T(8,128)(2,1)} all-reduce(%input), \
replica_groups={{0,1,2,3},{4,5,6,7}}, to_apply=%add.1
  ROOT %slice = bf16[4,8]{1,0} dynamic-slice(%all-reduce.1, %a, %b), \
dynamic_slice_sizes={4,8}
}

%condition.1 (state: (s32[], f32[8])) -> pred[] {
  %bound = s32[]{:T(128)} constant(24)
  %state = (s32[]{:T(128)}, f32[8]{0}) parameter(0)
  %i = s32[]{:T(128)} get-tuple-element(%state), index=0
  ROOT %lt = pred[]{:T(512)} compare(%i, %bound), direction=LT
}

%body.1 (state: (s32[], f32[8])) -> (s32[], f32[8]) {
  %state = (s32[], f32[8]{0}) parameter(0)
  %all-gather.1 = bf16[1,16,8]{2,1,0:T(8,128)(2,1)} all-gather(%p), \
channel_id=1, replica_groups=mesh['axis_0'=4,'axis_1'=1,'axis_2'=2], \
device_ids=([2,4]T(1,0)) {'axis_0'}, dimensions={1}
  %fusion.1 = bf16[4,8]{1,0:T(8,128)(2,1)} fusion(%g), kind=kCustom, \
calls=%all-reduce-scatter.1, metadata={op_name="a/while"}
  ROOT %t = (s32[], f32[8]{0}) tuple(%i, %x)
}

ENTRY %main.1 (p: f32[8]) -> f32[8] {
  %p = f32[8]{0} parameter(0)
  %all-reduce.2 = (f32[6]{0:T(256)}, /*index=1*/bf16[2,2]{1,0}) \
all-reduce(%a, %b), replica_groups=mesh['axis_0'=8,'axis_1'=1] \
{'axis_0','axis_1'}, to_apply=%add.1
  %while.1 = (s32[]{:T(128)}, f32[8]{0:T(256)S(1)}) while(%t), \
condition=%condition.1, body=%body.1, metadata={op_name="jit(step)/while"}
  %permute = (f32[8]{0}, f32[8]{0}, u32[], u32[]) \
collective-permute-start(%p), source_target_pairs={{0,1},{1,0}}
  %done = f32[8]{0} collective-permute-done(%permute)
  ROOT %r = f32[8]{0} get-tuple-element(%while.1), index=1
}
"""


def test_collectives_in_loops_count_as_often_as_they_run():
  made = hlo.traffic(PROGRAM, devices=8)
  assert made.loops == (24,)
  kinds = made.kinds
  assert set(kinds) == {
    "all-gather",
    "all-reduce",
    "collective-permute",
    "reduce-scatter",
  }
  gathered, scattered = kinds["all-gather"], kinds["reduce-scatter"]
  # 16 x 8 of two bytes, in groups of four: three quarters come from others.
  assert (gathered.count, gathered.bytes) == (24, 24 * 256)
  assert gathered.wire == 24 * 192
  # All-reduce and slice in one fusion are what it is called by.
  assert scattered == gathered
  once = kinds["all-reduce"]
  assert (once.count, once.bytes) == (1, 6 * 4 + 4 * 2)
  assert once.wire == 32 * 2 * 7 / 8
  assert kinds["collective-permute"].bytes == 32
  assert made.wire == 2 * 24 * 192 + 56 + 32


@pytest.mark.parametrize(
  ("line", "kind", "size", "wire"),
  [
    # A result of a quarter: what goes in is four times as large.
    (
      "f32[2,4] reduce-scatter(%x), replica_groups=[2,4]<=[8], dimensions={0}",
      "reduce-scatter",
      128,
      96,
    ),
    (
      "(f32[2,4]{1,0}, f32[8,4]{1,0}) all-gather-start(%x), "
      "replica_groups={{0,1,2,3},{4,5,6,7}}",
      "all-gather",
      128,
      96,
    ),
    (
      "((f32[2], bf16[2]), (f32[8], bf16[8])) all-gather-start(%x, %y), "
      "replica_groups={{0,1,2,3},{4,5,6,7}}",
      "all-gather",
      48,
      36,
    ),
    # No groups: all devices are one.
    ("pred[16] all-reduce-start(%x), replica_groups={}", "all-reduce", 16, 28),
    (
      "f32[8,1] all-to-all(%x), "
      "replica_groups=mesh['a'=8] {'a':(2)4}, dimensions={0}",
      "all-to-all",
      32,
      24,
    ),
  ],
)
def test_sizes_of_every_form(line, kind, size, wire):
  text = f"ENTRY %main (p: f32[8]) -> f32[8] {{\n  %c.1 = {line}\n}}\n"
  made = hlo.traffic(text, devices=8).kinds
  assert made == {
    kind: hlo.Collectives(count=1, bytes=float(size), wire=float(wire))
  }


def test_a_loop_s_length_is_told_or_unknown():
  told = PROGRAM.replace(
    "body=%body.1,",
    'body=%body.1, backend_config={"known_trip_count":{"n":"7"}},',
  )
  assert hlo.traffic(told, devices=8).loops == (7,)
  open_ended = PROGRAM.replace("direction=LT", "direction=NE")
  made = hlo.traffic(
    open_ended.replace("s32[]{:T(128)} constant(24)", "x"), devices=8
  )
  assert made.loops == (None,)
  assert made.kinds["all-gather"].count == 1


def test_what_is_no_program_is_refused():
  with pytest.raises(ValueError, match="no ENTRY"):
    hlo.traffic("HloModule x\n", devices=8)
