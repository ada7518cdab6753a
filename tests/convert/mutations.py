"""Random damage to bytes and to JSON, for tests; every function takes its source of randomness."""

import copy
import json
from random import Random
from typing import Any

ODD = (
    None, True, False, -1, 0, 1, 2, 3, 8, 16, 131, 2**31, 2**32, 2**53 + 1, 2**62, 2**63 - 1,
    2**63, 2**64, -(2**63), 10**400, 0.5, -0.0, 1e-300, 1e308, *map(float, ("nan", "inf", "-inf")),
    "", "x", "16", "bfloat16", "F32", "F16", "BF16", "F64", "I8", "default", "full_attention",
    "model.norm.weight", "lm_head.weight", "module.model.norm.weight", "norm.weight",
    "__metadata__", ".", "..", "../outside.safetensors", "/etc/passwd", "sub/file", "..\\outside",
    "C:\\x", "a\0b", "\ud800", "ü分子", "a\nb\x1b[2J", "~", "$HOME", "%s{}", "x" * 5000,
    "config.json", "folder", [], {}, [[]], [{}], [None], [0, 8], [8, 0], [-8, 0], [0, 2**63],
    [2**62, 0], [[1], [2]], [1] * 40, {"a": []}, {"rope_type": "yarn"}, {"dtype": "F32"},
    {"rope_type": [], "rope_theta": {}},
)  # fmt: skip


def damaged(content: bytes, rng: Random) -> bytes:
    """Bytes with one to three places flipped, overwritten, removed or put in, or cut short."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 3)):
        where = min(len(data), int(rng.random() ** 2 * (len(data) + 1)))  # mostly near the start
        some = rng.randbytes(rng.randint(1, 8))
        match rng.randrange(6):
            case 0 | 1 if where < len(data):
                data[where] ^= 1 << rng.randrange(8)
            case 2:
                data[where : where + len(some)] = some
            case 3:
                data[where:where] = some
            case 4:
                del data[where : where + len(some)]
            case _ if rng.random() < 0.3:
                del data[where:]
    return bytes(data)


def altered(tree: Any, rng: Random) -> str:
    """The text of a JSON tree with one to three nodes replaced, removed, added or exchanged, and
    sometimes with a key twice."""
    tree = copy.deepcopy(tree)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        (parent, key), (other, name) = (rng.choice(list(_nodes(tree))) for _ in range(2))
        match rng.randrange(8):
            case 0:
                del parent[key]
            case 1:
                one, two = copy.deepcopy(parent[key]), copy.deepcopy(other[name])
                parent[key], other[name] = two, one
            case 2 if isinstance(parent, dict):
                parent[_odd_name(rng)] = parent.pop(key)
            case 3 if isinstance(parent, dict):
                parent[_odd_name(rng)] = copy.deepcopy(parent[key])
            case 4 if type(parent[key]) is int:
                parent[key] += rng.choice((-8, -2, -1, 1, 2, 8, 2**32))
            case _:
                parent[key] = copy.deepcopy(rng.choice(ODD))
        if not list(_nodes(tree)):
            break
    text = json.dumps(tree, ensure_ascii=rng.random() < 0.9 or not _encodable(tree))
    if rng.random() < 0.1 and text.startswith('{"'):
        key = text[1 : text.index(":")]
        text = f"{{{key}: {json.dumps(rng.choice(ODD))}, {text[1:]}"
    return text


def _nodes(tree: Any):
    """Every (container, key or position) below."""
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in list(pairs):
        yield tree, key
        if isinstance(value, dict | list):
            yield from _nodes(value)


def _odd_name(rng: Random) -> str:
    return str(rng.choice(ODD))[:6000]


def _encodable(tree: Any) -> bool:
    try:
        json.dumps(tree, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True
