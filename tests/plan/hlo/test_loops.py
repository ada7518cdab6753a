import pytest

from biomatrix_jax.plan.hlo.loops import Loops, Trips
from biomatrix_jax.plan.hlo.text import parse

# A loop inside of a loop, as libtpu writes them: no counts, the limit of the inner one handed
# through the outer one, its step inside a fusion.
NESTED = """HloModule nested

%add_two (q: s32[]) -> s32[] {
  %q = s32[] parameter(0)
  %two = s32[] constant(2)
  ROOT %sum = s32[] add(%q, %two)
}

%inner_condition (c: (s32[], s32[])) -> pred[] {
  %c = (s32[], s32[]) parameter(0)
  %at = s32[] get-tuple-element(%c), index=0
  %limit = s32[] get-tuple-element(%c), index=1
  ROOT %less = pred[] compare(%at, %limit), direction=LT
}

%inner_body (b: (s32[], s32[])) -> (s32[], s32[]) {
  %b = (s32[], s32[]) parameter(0)
  %i = s32[] get-tuple-element(%b), index=0
  %kept = s32[] get-tuple-element(%b), index=1
  %next = s32[] fusion(%i), kind=kLoop, calls=%add_two
  ROOT %pair = (s32[], s32[]) tuple(%next, %kept)
}

%outer_condition (d: (s32[], s32[])) -> pred[] {
  %d = (s32[], s32[]) parameter(0)
  %there = s32[] get-tuple-element(%d), index=0
  %end = s32[] constant(-1)
  ROOT %more = pred[] compare(%end, %there), direction=LT
}

%outer_body (e: (s32[], s32[])) -> (s32[], s32[]) {
  %e = (s32[], s32[]) parameter(0)
  %j = s32[] get-tuple-element(%e), index=0
  %held = s32[] get-tuple-element(%e), index=1
  %zero = s32[] constant(0)
  %copied = s32[] copy(%held)
  %start = (s32[], s32[]) tuple(%zero, %copied)
  %inner = (s32[], s32[]) while(%start), condition=%inner_condition, body=%inner_body
  %down = s32[] constant(-3)
  %after = s32[] add(%j, %down)
  ROOT %both = (s32[], s32[]) tuple(%after, %held)
}

ENTRY %main (x: s32[]) -> (s32[], s32[]) {
  %x = s32[] parameter(0)
  %seven = s32[] constant(7)
  LIMIT
  %first = s32[] constant(11)
  %begin = (s32[], s32[]) tuple(%first, %bound)
  ROOT %outer = (s32[], s32[]) while(%begin), condition=%outer_condition, body=%outer_body
}
"""


@pytest.mark.parametrize(
    ("limit", "trips"),
    [
        ("%bound = s32[] copy(%seven)", Trips(4, exact=True)),
        ("%bound = s32[] minimum(%x, %seven)", Trips(4, exact=False)),
        ("%bound = s32[] copy(%x)", None),
    ],
)
def test_a_loop_is_counted_from_its_start_step_and_limit(limit, trips):
    program = parse(NESTED.replace("LIMIT", limit))
    body = program.computations["outer_body"]
    assert Loops(program).trips(body, body.by_name["inner"]) == trips


def test_a_loop_may_count_down():
    program = parse(NESTED.replace("LIMIT", "%bound = s32[] copy(%x)"))
    # 11, 8, 5, 2 are above -1; then it ends.
    assert Loops(program).trips(program.entry, program.entry.root) == Trips(4, exact=True)


def test_a_count_that_is_written_down_counts():
    known = 'body=%inner_body, backend_config={"known_trip_count":{"n":"5"},"x":"y"}'
    program = parse(NESTED.replace("body=%inner_body", known))
    body = program.computations["outer_body"]
    assert Loops(program).trips(body, body.by_name["inner"]) == Trips(5, exact=True)
