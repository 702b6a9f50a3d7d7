"""The same model as TransformerLens's TransformerBridge: heads, attention patterns and MLPs::

    bridge = to_bridge(vlm)                      # the weights are shared, vlm stays as it is
    with torch.no_grad():
        logits, cache = bridge.run_with_cache(**bridge_inputs(vlm, prompt))
    cache["blocks.3.attn.hook_pattern"]          # [batch, head, query, key]
    cache["blocks.3.attn.hook_z"]                # [batch, pos, head, d_head]
    cache["blocks.3.hook_resid_post"]            # [batch, pos, d_model], what vlm has there too

    def blind(scores, hook):                     # before the softmax, so that rows still sum to 1
        for query in prompt.word("left"):
            scores[:, 5, query, prompt.image_patches.positions] = -torch.inf

    hooks = [("blocks.3.attn.hook_attn_scores", blind)]
    logits = bridge.run_with_hooks(**bridge_inputs(vlm, prompt), fwd_hooks=hooks)

All of TransformerLens is there (``bridge.hooks``, ``names_filter``, ``pos_slice``); see its
documentation. Only the text decoder is wrapped, by one adapter for all families: the vision tower
runs as Hugging Face wrote it, and whatever a family's processor returns is passed on to it.
A pattern takes ``heads * pos * pos`` numbers a block: give ``names_filter`` for large models.

Traps of TransformerBridge that were found with vision-language models:

- A question as plain text, or ``input_ids`` alone, runs without the image and raises nothing. So
  does leaving out an input such as Qwen's ``mm_token_type_ids``: take :func:`bridge_inputs`.
- ``start_at_layer`` gives wrong logits, silently, for Qwen (its positions are lost, and
  Qwen3-VL's DeepStack features too); for Gemma 3 without ``token_type_ids``; for Llama 3.2 without
  the image's inputs. It saves nothing: the blocks below it run all the same.
- ``bridge.generate`` loses the image behind the first token with ``use_past_kv_cache=False``, and
  fails for Qwen with it. ``bridge.original_model.generate(**vlm.batch(prompt))`` is right, inside
  ``with bridge.hooks(fwd_hooks=...):`` too; hooks then see the prompt first, and afterwards each
  new token alone.
- An edit that is returned at ``hook_resid_mid`` changes what the MLP reads and not the stream;
  made in place it changes both. At norms' ``hook_scale`` and ``hook_normalized`` an edit in place
  does nothing. Return a new tensor there; everywhere in the example above both ways are the same.
- ``hook_embed`` is what it is before the image comes in. At the image's tokens
  ``blocks.0.hook_resid_pre`` differs, and sums that start from ``hook_embed``, as in
  ``cache.decompose_resid``, are wrong.
- In Llama 3.2's cross-attention blocks (``blocks.{l}.cross_attn``, keys are patches) attention and
  MLP are scaled by gates before they are added to the stream; their hooks come before the gates.
- TransformerLens's own adapters of Qwen2.5-VL and Qwen3-VL, which are not used here, throw away
  edits of attention patterns, and their ``hook_attn_scores`` holds patterns.
"""

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from transformers.models.llama.modeling_llama import repeat_kv

from helpers.hooks import HookedVLM
from helpers.prompts import Prompt

try:
    from transformer_lens.model_bridge import TransformerBridge
    from transformer_lens.model_bridge.architecture_adapter import ArchitectureAdapter
    from transformer_lens.model_bridge.generalized_components import (
        AttentionBridge,
        BlockBridge,
        EmbeddingBridge,
        LinearBridge,
        PositionEmbeddingsAttentionBridge,
        RMSNormalizationBridge,
        UnembeddingBridge,
    )
    from transformer_lens.model_bridge.sources._bridge_builder import (
        build_bridge_config_from_hf,
        detect_tokenizer_bos_eos,
    )
except ImportError as error:
    raise ImportError(
        'to_bridge needs TransformerLens: pip install "where-is-the-frog[tl]"'
    ) from error

_USUAL = {"ln1": "input_layernorm", "ln2": "post_attention_layernorm"}
#: For every ``config.model_type``: a block's norms, as TransformerLens and Hugging Face call them.
NORMS: Mapping[str, Mapping[str, str]] = {
    "llava": _USUAL,
    "qwen2_vl": _USUAL,
    "qwen2_5_vl": _USUAL,
    "qwen3_vl": _USUAL,
    "mllama": _USUAL,
    "internvl": _USUAL,
    "gemma3": {
        "ln1": "input_layernorm",
        "ln1_post": "post_attention_layernorm",
        "ln2": "pre_feedforward_layernorm",
        "ln2_post": "post_feedforward_layernorm",
    },
    "llava_onevision": _USUAL,
    "llava_video": _USUAL,
    "video_llama_3": _USUAL,
    "smolvlm": _USUAL,
}
#: Model types whose norms multiply by one plus their weight.
OFFSET_NORMS = ("gemma3",)


def to_bridge(vlm: HookedVLM) -> TransformerBridge:
    """Return the model as a TransformerBridge; the model itself is left as it is.

    The bridge is made of a copy of the modules that shares the weights, so a large model takes no
    more memory. Attention of its text decoder is computed step by step ("eager"), as patterns
    require: logits are bit for bit those of ``vlm`` loaded with ``attn_implementation="eager"``,
    and differ by rounding from those of fused attention.

    The weights are the model's own: what is trained or loaded into one is in the other. Moving or
    casting the bridge (``bridge.to``) leaves the model alone.

    Raises:
        ImportError: if TransformerLens is not installed (when this module is imported).
        NotImplementedError: if the family is not in :data:`NORMS`, or the weights are not all on
            one device. The bridge itself raises it where weights would be rewritten
            (``process_weights``, and ``enable_compatibility_mode`` without ``no_processing``).
        ValueError: if ``vlm`` holds hooks, which the copy would keep for ever.
    """
    _check(vlm)
    model = _copy_sharing_weights(vlm.model)
    # The vision tower has a config of its own and keeps what it was loaded with.
    model.config.get_text_config()._attn_implementation = "eager"
    config = build_bridge_config_from_hf(
        model.config, type(model).__name__, model.config.name_or_path, model.dtype
    )
    config.device = str(model.device)
    tokenizer = copy.deepcopy(vlm.processor.tokenizer)
    begins, config.tokenizer_appends_eos = detect_tokenizer_bos_eos(tokenizer)
    config.tokenizer_prepends_bos = config.default_prepend_bos = begins
    return _Bridge(model, _Adapter(config, model), tokenizer)


def bridge_inputs(vlm: HookedVLM, prompts: Prompt | Sequence[Prompt]) -> dict[str, torch.Tensor]:
    """Return prompts as the arguments that a bridge's forward pass takes, on the model's device.

    All of them go on to Hugging Face's model; only ``input_ids`` has another name, ``input``.
    """
    inputs = vlm.batch(prompts)
    return {"input": inputs.pop("input_ids"), **inputs}


def _check(vlm: HookedVLM) -> None:
    kind = vlm.model.config.model_type
    if kind not in NORMS:
        raise NotImplementedError(
            f"no bridge for model type {kind!r}: bridge.py has no entry for the norms of its "
            f"blocks; there are {', '.join(NORMS)}"
        )
    devices = sorted({str(weight.device) for weight in vlm.model.parameters()})
    if len(devices) > 1 or devices == ["meta"]:
        raise NotImplementedError(
            f"the weights are on {', '.join(devices)}, and a bridge needs them on one device "
            '("meta" are weights kept on the disk or moved in for each use); load the model with '
            'device="cuda" or "cpu" instead of device_map, a smaller dtype, or a smaller model'
        )
    if vlm.held:
        raise ValueError(
            f"vlm holds hooks at {', '.join(vlm.held)}, and the bridge would keep them; "
            "call to_bridge outside of `with vlm.hooks(...)`"
        )


def _copy_sharing_weights(model: nn.Module) -> nn.Module:
    """Copy modules, configs and buffers; parameters are new objects on the old storage.

    New objects, so that ``to`` on the copy replaces its own data alone. Quantised weights carry
    their scales with them in classes of their own and stay the same objects.
    """

    def share(weight: nn.Parameter) -> nn.Parameter:
        if type(weight) is not nn.Parameter:
            return weight
        return nn.Parameter(weight.detach(), weight.requires_grad)

    return copy.deepcopy(model, {id(weight): share(weight) for weight in model.parameters()})


class _Bridge(TransformerBridge):
    """A TransformerBridge whose weights stay as they are: they are the model's too."""

    def process_weights(self, *arguments: Any, **options: Any) -> None:
        """Refuse, before anything is rewritten."""
        raise NotImplementedError(
            "the bridge's weights are those of the model and are not folded or centred; "
            "enable_compatibility_mode(no_processing=True) works"
        )


class _Adapter(ArchitectureAdapter):
    """The text decoder of any family; everything else is left to Hugging Face."""

    # The hooks see the patterns: nobody needs to collect them a second time.
    supports_hf_output_attentions = False

    def __init__(self, config: Any, model: nn.Module) -> None:
        super().__init__(config)
        self._set_rms_rotary_defaults()
        self.cfg.is_multimodal = True
        self.cfg.attn_implementation = "eager"
        self.cfg.rmsnorm_uses_offset = model.config.model_type in OFFSET_NORMS
        decoder = model.get_decoder()
        place = next(name for name, module in model.named_modules() if module is decoder)
        parts = self._norms(NORMS[model.config.model_type])
        parts |= self._attentions(decoder.layers) | {"mlp": self._gated_mlp()}
        self.component_mapping = {
            "embed": EmbeddingBridge(f"{place}.embed_tokens"),
            "blocks": BlockBridge(f"{place}.layers", submodules=parts),
            "unembed": UnembeddingBridge("lm_head", self.cfg),
            **self._norms({"ln_final": f"{place}.norm"}),
        }

    def _norms(self, names: Mapping[str, str]) -> dict[str, nn.Module]:
        return {ours: RMSNormalizationBridge(theirs, self.cfg) for ours, theirs in names.items()}

    def _attentions(self, blocks: Iterable[nn.Module]) -> dict[str, nn.Module]:
        """The kinds of attention that the blocks have, with the parts they have."""
        blocks, found = list(blocks), {}
        kinds = {
            "attn": ("self_attn", PositionEmbeddingsAttentionBridge),
            "cross_attn": ("cross_attn", _CrossAttention),
        }
        for ours, (theirs, kind) in kinds.items():
            modules = [getattr(block, theirs) for block in blocks if hasattr(block, theirs)]
            if modules:
                norms = {name: name for name in ("q_norm", "k_norm") if hasattr(modules[0], name)}
                linear = {name: LinearBridge(f"{name}_proj") for name in "qkvo"}
                found[ours] = kind(
                    theirs,
                    self.cfg,
                    submodules=linear | self._norms(norms),
                    optional=len(modules) < len(blocks),
                )
        return found


class _CrossAttention(AttentionBridge):
    """Llama 3.2's attention from text to the image: no positions, nothing hidden by causality."""

    supports_split_qkv_fork = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # Of no meaning here; a hook on a point that is never reached would do nothing, silently.
        for name in ("hook_rot_q", "hook_rot_k", "hook_result"):
            delattr(self, name)
            del self._hook_registry[name]

    def forward(
        self,
        hidden_states: torch.Tensor,
        cross_attention_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        past_key_values: Any = None,
        **ignored: Any,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """As Hugging Face computes it; states of the image are [images * tiles, patch, d_model]."""
        module = self.original_component
        stream = self.hook_in(hidden_states)
        queries = self.q_norm(self._heads(self.q(stream), len(stream)))
        if cross_attention_states is None:  # a later token: the image is in the cache
            seen = past_key_values.layers[module.layer_idx]
            keys, values = seen.keys, seen.values
        else:
            keys = self.k_norm(self._heads(self.k(cross_attention_states), len(stream)))
            values = self._heads(self.v(cross_attention_states), len(stream))
            keys, values = self._update_kv_cache(keys, values, past_key_values=past_key_values)
        keys = repeat_kv(keys, module.num_key_value_groups)
        scores = queries @ keys.transpose(2, 3) * module.scaling
        if attention_mask is not None:
            scores = scores + attention_mask
        scores = self.hook_attn_scores(scores)
        pattern = self.hook_pattern(scores.softmax(-1, dtype=torch.float32).to(queries.dtype))
        mixed = pattern @ repeat_kv(values, module.num_key_value_groups)
        mixed = mixed.transpose(1, 2).reshape(*stream.shape[:2], -1)
        return self.hook_out(self.o(mixed)), pattern

    def _heads(self, flat: torch.Tensor, batch: int) -> torch.Tensor:
        """From [..., heads * d_head] to [batch, head, pos, d_head], the tiles one after another."""
        size = self.original_component.head_dim
        return flat.view(batch, -1, flat.shape[-1] // size, size).transpose(1, 2)
