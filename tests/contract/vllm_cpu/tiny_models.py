"""Model folders with the real architectures and nothing in them: configuration and tokenizer, no weights.

vLLM fills them with random numbers (`--load-format=dummy`), so what comes out is noise and every flag, shape,
limit and failure is real. A byte a token, so that a regular expression can force any text letter by letter.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

HERE = Path(__file__).parent
#: A multiple of 64 above the 256 bytes and the marks.
_VOCABULARY = 320
_NANO_MARKS = (
    *("<unk>", "<s>", "</s>", "<SPECIAL_10>", "<SPECIAL_11>", "<SPECIAL_12>"),
    *("<image>", "<img>", "</img>", "<video>", "<quad>", "<box>"),
)
_NANO_WORDS = ("<think>", "</think>", "<TOOLCALL>", "</TOOLCALL>", "<AVAILABLE_TOOLS>", "</AVAILABLE_TOOLS>")
_LLAMA_MARKS = ("<unk>", "<s>", "</s>", "<image>", "<img>", "</img>", "<IMG_CONTEXT>")


def nano_vl(folder: Path, *, tile: int) -> Path:
    """Make Nemotron Nano 2 VL with tiles of `tile` pixels: 512 costs 256 tokens as in life, 64 costs 4."""
    ids = _tokenizer(folder, _NANO_MARKS, _NANO_WORDS, end="<SPECIAL_12>")
    ends = {"bos_token_id": ids["<s>"], "eos_token_id": ids["<SPECIAL_12>"], "pad_token_id": ids["</s>"]}
    generation = ends | {"eos_token_id": [ids["</s>"], ids["<SPECIAL_12>"]]}
    _write(folder / "generation_config.json", generation)
    _copy(folder, {"nano_vl.jinja": "chat_template.jinja", "nano_vl_config.py": "configuration.py"})
    _write(folder / "config.json", _nano_vl_config(tile, ids, ends))
    return folder


def _nano_vl_config(tile: int, ids: dict[str, int], ends: dict[str, int]) -> dict[str, Any]:
    return {
        "architectures": ["NemotronH_Nano_VL_V2"],
        "model_type": "NemotronH_Nano_VL_V2",
        "auto_map": {"AutoConfig": "configuration.NanoVlConfig"},
        "torch_dtype": "bfloat16",
        "force_image_size": tile,
        "patch_size": 16,
        "downsample_ratio": 0.5,
        "ps_version": "v2",
        "image_tag_type": "internvl",
        "template": None,
        "use_thumbnail": True,
        "projector_hidden_size": 256,
        "vit_hidden_size": 384,
        "norm_mean": [0.48, 0.46, 0.41],
        "norm_std": [0.27, 0.26, 0.28],
        "img_context_token": "<image>",
        "img_start_token": "<img>",
        "img_end_token": "</img>",
        "img_context_token_id": ids["<image>"],
        "video_context_token": "<video>",
        "tie_word_embeddings": False,
        **ends,
        "llm_config": _nemotron_h(ends),
        "vision_config": _radio(tile),
    }


def _nemotron_h(ends: dict[str, int]) -> dict[str, Any]:
    """One layer of each kind and a second Mamba: state space, feed-forward, attention."""
    return {
        "model_type": "nemotron_h",
        "architectures": ["NemotronHForCausalLM"],
        "vocab_size": _VOCABULARY,
        "hidden_size": 256,
        "intermediate_size": 512,
        "hybrid_override_pattern": "M-M*-",
        "num_hidden_layers": 5,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 64,
        "mamba_num_heads": 8,
        "mamba_head_dim": 64,
        "n_groups": 2,
        "ssm_state_size": 128,
        "conv_kernel": 4,
        "chunk_size": 128,
        "expand": 2,
        "max_position_embeddings": 131072,
        "mlp_hidden_act": "relu2",
        "use_conv_bias": True,
        "use_bias": False,
        "mlp_bias": False,
        "attention_bias": False,
        "mamba_proj_bias": False,
        "layer_norm_epsilon": 1e-5,
        "torch_dtype": "bfloat16",
        "n_routed_experts": 0,
        "tie_word_embeddings": False,
        **ends,
    }


def _radio(tile: int) -> dict[str, Any]:
    """The smallest vision transformer that vLLM's RADIO knows by name."""
    teachers = [{"name": name, "use_summary": True} for name in ("clip", "siglip")]
    return {
        "model_type": "radio",
        "patch_size": 16,
        "preferred_resolution": [tile, tile],
        "version": "radio_v2.5-h",
        "args": {
            "model": "vit_small_patch16_224",
            "cpe_max_size": 2048,
            "register_multiple": 8,
            "teachers": teachers,
            "cls_token_per_teacher": True,
        },
    }


def embed_vl(folder: Path) -> Path:
    """Make llama-nemotron-embed-vl: 128 numbers a text, tiles of 64 pixels."""
    return _llama_vl(folder, outer="LlamaNemotronVLModel", inner="LlamaBidirectionalModel", scores=False)


def rerank_vl(folder: Path) -> Path:
    """Make llama-nemotron-rerank-vl: one score a pair."""
    inner = "LlamaBidirectionalForSequenceClassification"
    return _llama_vl(folder, outer="LlamaNemotronVLForSequenceClassification", inner=inner, scores=True)


def _llama_vl(folder: Path, *, outer: str, inner: str, scores: bool) -> Path:
    ids = _tokenizer(folder, _LLAMA_MARKS, (), end="</s>", begins=True)
    one_label: dict[str, Any] = (
        {"num_labels": 1, "id2label": {"0": "score"}, "label2id": {"score": 0}} if scores else {}
    )
    config = {
        "architectures": [outer],
        "model_type": "llama_nemotron_vl",
        "auto_map": {"AutoConfig": "configuration.LlamaVlConfig"},
        "torch_dtype": "bfloat16",
        "force_image_size": 64,
        "downsample_ratio": 0.5,
        "ps_version": "v2",
        "select_layer": -1,
        "use_thumbnail": True,
        "dynamic_image_size": True,
        "min_dynamic_patch": 1,
        "max_dynamic_patch": 6,
        "template": None,
        "img_context_token_id": ids["<IMG_CONTEXT>"],
        "pooling": "avg",
        "pad_token_id": ids["</s>"],
        "vision_config": _siglip(),
        "llm_config": {**_llama(ids), **one_label, "architectures": [inner], "pooling": "avg"},
        **one_label,
        **({"problem_type": "regression"} if scores else {}),
    }
    _write(folder / "config.json", config)
    _copy(folder, {"llama_vl_config.py": "configuration.py"})
    return folder


def _siglip() -> dict[str, Any]:
    size = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4}
    return {"model_type": "siglip_vision_model", "image_size": 64, "patch_size": 16, **size}


def _llama(ids: dict[str, int]) -> dict[str, Any]:
    return {
        "model_type": "llama",
        "vocab_size": _VOCABULARY,
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-5,
        "torch_dtype": "bfloat16",
        "bos_token_id": ids["<s>"],
        "eos_token_id": ids["</s>"],
        "pad_token_id": ids["</s>"],
    }


def _tokenizer(
    folder: Path, marks: tuple[str, ...], words: tuple[str, ...], *, end: str, begins: bool = False
) -> dict[str, int]:
    """Write a tokenizer of single bytes; return the number of each token."""
    folder.mkdir(parents=True, exist_ok=True)
    tokens = [*marks, *words, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    ids = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=ids, merges=[], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(mark, special=True, normalized=False) for mark in marks])
    tokenizer.add_tokens([AddedToken(word, special=False, normalized=False) for word in words])
    if begins:
        # Llama's tokenizer opens plain text itself; a chat template opens its own.
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", ids["<s>"])]
        )
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": end,
        "unk_token": "<unk>",
        "pad_token": "</s>",
        "clean_up_tokenization_spaces": False,
        "model_max_length": 131072,
    }
    _write(folder / "tokenizer_config.json", config)
    return ids


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1), "utf-8")


def _copy(folder: Path, names: dict[str, str]) -> None:
    for source, target in names.items():
        (folder / target).write_text((HERE / source).read_text("utf-8"), "utf-8")
