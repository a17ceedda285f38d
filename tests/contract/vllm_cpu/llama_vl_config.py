"""Copied into the tiny embedding and reranking folders as their configuration.py."""

from transformers import LlamaConfig, SiglipVisionConfig
from transformers.configuration_utils import PretrainedConfig


class LlamaVlConfig(PretrainedConfig):
    model_type = "llama_nemotron_vl"
    is_composition = True

    def __init__(self, vision_config=None, llm_config=None, **fields):
        fields.pop("model_type", None)
        self.vision_config = SiglipVisionConfig(**_untyped(vision_config))
        self.llm_config = LlamaConfig(**_untyped(llm_config))
        ours = ("force_", "downsample", "ps_", "select_", "use_thumb", "dynamic_", "min_dyn", "max_dyn")
        for name in [n for n in fields if n.startswith((*ours, "img_", "pooling", "template"))]:
            setattr(self, name, fields.pop(name))
        super().__init__(**fields)


def _untyped(config):
    return {name: value for name, value in (config or {}).items() if name != "model_type"}
