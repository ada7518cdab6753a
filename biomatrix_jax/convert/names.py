"""The one table of names: our parameters and the tensors of `Qwen3ForCausalLM`, and what files
written by others put before the latter.
"""

import dataclasses
import functools
import re
from collections import Counter
from collections.abc import Iterable

NAMES = {
    "embedding.table": "model.embed_tokens.weight",
    "layers.attention_norm.scale": "model.layers.{}.input_layernorm.weight",
    "layers.attention.q": "model.layers.{}.self_attn.q_proj.weight",
    "layers.attention.k": "model.layers.{}.self_attn.k_proj.weight",
    "layers.attention.v": "model.layers.{}.self_attn.v_proj.weight",
    "layers.attention.o": "model.layers.{}.self_attn.o_proj.weight",
    "layers.attention.q_norm.scale": "model.layers.{}.self_attn.q_norm.weight",
    "layers.attention.k_norm.scale": "model.layers.{}.self_attn.k_norm.weight",
    "layers.ffn_norm.scale": "model.layers.{}.post_attention_layernorm.weight",
    "layers.ffn.gate": "model.layers.{}.mlp.gate_proj.weight",
    "layers.ffn.up": "model.layers.{}.mlp.up_proj.weight",
    "layers.ffn.down": "model.layers.{}.mlp.down_proj.weight",
    "final_norm.scale": "model.norm.weight",
    "head.table": "lm_head.weight",
}
HEAD = "lm_head.weight"  # a tied model's files may hold it too, as a copy of the embedding
BODY = "model."  # before the names of everything but the head
# What may stand in its place: a body that was saved without its head's class has nothing, the text
# model inside a multimodal one of transformers 5 a name of its own.
BODIES = (BODY, "", "model.language_model.")
# What may stand before every name, also several of them: DistributedDataParallel, torch.compile, a
# text model inside a multimodal one.
WRAPPERS = ("module.", "_orig_mod.", "language_model.")


@dataclasses.dataclass(frozen=True)
class Prefixes:
    """What the files' names begin with.

    Attributes:
      wrapper: before every name.
      body: after that, where the table has BODY.
    """

    wrapper: str = ""
    body: str = BODY

    def file_name(self, name: str) -> str:
        """The files' name of a tensor of the table."""
        return self.wrapper + (name if name == HEAD else self.body + name.removeprefix(BODY))

    def table_name(self, name: str) -> str:
        """The inverse of `file_name`."""
        name = name.removeprefix(self.wrapper)
        return name if name == HEAD else BODY + name.removeprefix(self.body)

    def note(self) -> str | None:
        """What is unusual about them, for the user."""
        said = []
        if self.wrapper:
            said.append(f"have the prefix {self.wrapper!r}; read without it")
        if not self.body:
            said.append(f"lack the prefix {BODY!r}; read with it")
        elif self.body != BODY:
            said.append(f"have the prefix {self.body!r} instead of {BODY!r}; read with that")
        return f"tensor names {', and '.join(said)}" if said else None


TABLE = Prefixes()


def find_prefixes(names: Iterable[str]) -> Prefixes:
    """The prefixes that most of the body's tensors have.

    They are taken for those of all tensors, never guessed name by name: a tensor that has others
    does not belong to the model.
    """
    found = Counter(match.groups() for name in names if (match := _body_name().fullmatch(name)))
    best = max(found, key=lambda pair: (found[pair], pair == ("", BODY), pair), default=("", BODY))
    return Prefixes(*best)


@functools.cache
def _body_name() -> re.Pattern:
    """Matches a tensor of the body under any prefixes, with wrapper and body as its groups."""
    names = (re.escape(name.removeprefix(BODY)) for name in NAMES.values() if name != HEAD)
    ends = "|".join(name.replace(r"\{\}", "[0-9]+") for name in names)
    wrappers, bodies = ("|".join(map(re.escape, words)) for words in (WRAPPERS, BODIES))
    return re.compile(f"((?:{wrappers})*)({bodies})(?:{ends})")
