"""Copied into the tiny Nano 2 VL folder as its configuration.py, like the hub's own code."""

from transformers.configuration_utils import PretrainedConfig
from transformers.models.nemotron_h.configuration_nemotron_h import NemotronHConfig


class RadioConfig(PretrainedConfig):
    model_type = "tiny_radio"

    def __init__(self, **fields):
        fields.pop("model_type", None)
        for name, value in fields.items():
            setattr(self, name, value)
        super().__init__()


class NanoVlConfig(PretrainedConfig):
    model_type = "NemotronH_Nano_VL_V2"
    is_composition = True

    def __init__(self, vision_config=None, llm_config=None, **fields):
        if isinstance(vision_config, dict):
            vision_config = RadioConfig(**vision_config)
        if isinstance(llm_config, dict):
            # The layer pattern gives the number of layers, and the class refuses to be told both.
            told = {k: v for k, v in llm_config.items() if k not in ("model_type", "num_hidden_layers")}
            llm_config = NemotronHConfig(**told)
        self.vision_config = vision_config or RadioConfig(args={})
        self.llm_config = llm_config or NemotronHConfig()
        ours = (
            "force_",
            "patch_",
            "downsample",
            "ps_",
            "image_tag",
            "template",
            "use_thumb",
            "projector_",
            "vit_",
        )
        for name in [n for n in fields if n.startswith((*ours, "norm_", "img_", "video_context"))]:
            setattr(self, name, fields.pop(name))
        super().__init__(**fields)
