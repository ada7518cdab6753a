from biomatrix_jax.plan.hlo.text import Leaf, parse, parse_shape

PROGRAM = """HloModule small, is_scheduled=true

FileNames
1 "a.py"

%body (p.1: (s32[], /*index=1*/f32[4])) -> f32[4] {
  %p.1 = (s32[]{:T(128)}, /*index=1*/f32[4]{0:T(128)S(1)}) parameter(0)
  ROOT %kernel.2 = f32[4]{0} custom-call(%p.1), custom_call_target="k", frontend_attributes={said={
"a (b":"{ \\"c\\": 1 }"
}}, metadata={op_name="x, calls=%nothing"}
}

ENTRY %main.9_spmd (a: f32[4]) -> f32[4] {
  %a = f32[4]{0} parameter(0)
  ROOT %fusion.1 = f32[4]{0} fusion(%a, %a), kind=kLoop, calls=%body, dims={1,2}
}
"""


def test_a_program_is_its_computations_and_their_instructions():
    program = parse(PROGRAM)
    assert list(program.computations) == ["body", "main.9_spmd"]
    assert program.entry.name == "main.9_spmd"
    fusion = program.entry.root
    assert (fusion.opcode, fusion.operands) == ("fusion", ("a", "a"))
    assert fusion.calls("calls") == ["body"]
    assert fusion.integers("dims") == (1, 2)
    assert fusion.attribute("nothing") is None
    assert program.entry.users["a"] == [fusion]


def test_an_instruction_may_go_on_over_several_lines():
    kernel = parse(PROGRAM).computations["body"].root
    assert kernel.opcode == "custom-call"
    assert kernel.attribute("custom_call_target") == '"k"'
    assert '\\"c\\": 1' in kernel.attributes


def test_shapes_know_their_memory_and_bytes():
    number, array = parse_shape("(s32[]{:T(128)}, /*index=1*/f32[4,3]{1,0:T(8,128)S(1)})")
    assert number == Leaf("s32", ())
    assert array == Leaf("f32", (4, 3), space=1)
    assert (number.bytes, array.bytes) == (4, 48)
    sizes = {"bf16[5]": 10, "pred[3]": 3, "s4[5]": 3, "f8e4m3fn[7]": 7, "token[]": 0, "c64[2]": 16}
    for shape, size in sizes.items():
        assert parse_shape(shape)[0].bytes == size
