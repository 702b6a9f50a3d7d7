"""The shipped models' tokenizer: whole common words, pieces for the rest, as real ones do.

A Unigram model in SentencePiece's manner (a leading space is part of the word). Common words
are one piece; *backpack* is ``back`` + ``pack`` and *pineapple* is ``pine`` + ``apple``;
anything else falls apart into letters, so that no text is unknown.
"""

import string

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from helpers.stimuli.sprites import OBJECTS

SPECIAL = ("<unk>", "<s>", "</s>", "<pad>", "<image>")
IMAGE_TOKEN = "<image>"
VIDEO_TOKEN = "<video>"

#: Object words that are one piece. All others are split.
WHOLE = {
    "fan", "camel", "frog", "dog", "cake", "log", "robot", "person", "cat", "car", "tree",
    "chair", "guitar", "bicycle", "apple", "banana", "key", "boat", "elephant", "umbrella",
    "mushroom", "balloon", "cactus", "clock", "book",
}  # fmt: skip
_PARTS = "▁back pack ▁tea pot ▁hot ▁teddy ▁bear ▁traffic ▁light ▁pine apple ▁snow man".split()
_PIECES = """
▁USER: ▁ASSISTANT: ▁ : , . ?
Is Which What Where Describe Locate List
▁the ▁a ▁an ▁to ▁of ▁or ▁and ▁in ▁at ▁is ▁are ▁there ▁image ▁object ▁objects ▁further ▁between
▁left ▁right ▁above ▁below ▁front ▁behind ▁top ▁bottom ▁up ▁down ▁it ▁on ▁side ▁with
▁Left ▁Right ▁Above ▁Below ▁Front ▁Behind ▁Top ▁Bottom ▁Yes ▁No ▁yes ▁no ▁The
▁where ▁each ▁every ▁relations ▁layout
"""
#: What a model of videos reads besides.
_VIDEO_PIECES = """
Does At
▁appear ▁appears ▁before ▁after ▁first ▁last ▁beginning ▁end ▁moving ▁still ▁video ▁timeline ▁motion
▁Before ▁After ▁First ▁Last ▁Beginning ▁End
"""
_LETTERS = string.ascii_letters + string.digits + string.punctuation

#: The Vicuna form that LLaVA-1.5 was trained on: roles in capitals, the image first.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] != 'system' %}{{ message['role'].upper() + ': ' }}{% endif %}"
    "{% if message['content'] is string %}{{ message['content'] + ' ' }}{% else %}"
    "{% for part in message['content'] if part['type'] == 'image' %}{{ '<image>\\n' }}{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}"
    "{{ part['text'] + ' ' }}{% endfor %}"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
_PART = "{% for part in message['content'] if part['type'] == 'text' %}"
VIDEO_CHAT_TEMPLATE = CHAT_TEMPLATE.replace(
    _PART,
    "{% for part in message['content'] if part['type'] == 'video' %}{{ '<video>\\n' }}{% endfor %}"
    + _PART,
)


def build_tokenizer(video: bool = False) -> PreTrainedTokenizerFast:
    """Return the tokenizer, its vocabulary fixed by this file alone.

    With ``video``, it knows the placeholder of a video, and words for time.
    """
    special = (*SPECIAL, VIDEO_TOKEN) if video else SPECIAL
    pieces = _PIECES.split() + ["\n"] + (_VIDEO_PIECES.split() if video else [])
    pieces += [f"▁{name}" for name in OBJECTS if name in WHOLE] + _PARTS
    # Coordinates: a column letter or a row digit after a space.
    pieces += [f"▁{symbol}" for symbol in "ABCDEFGH12345678"]
    vocabulary = [(token, 0.0) for token in special]
    known = set(special)
    for score, group in ((-1.0, pieces), (-20.0, _LETTERS)):
        for piece in group:
            if piece not in known:
                known.add(piece)
                vocabulary.append((piece, score))
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=0, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first", split=False)
    tokenizer.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in special]
    )
    start = ("<s>", special.index("<s>"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[start]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        padding_side="left",
        model_max_length=2048,
        extra_special_tokens={"image_token": IMAGE_TOKEN}
        | ({"video_token": VIDEO_TOKEN} if video else {}),
    )
    fast.chat_template = VIDEO_CHAT_TEMPLATE if video else CHAT_TEMPLATE
    return fast


def placeholder_id(tokenizer: PreTrainedTokenizerFast) -> int:
    """The token that stands for what is shown: a video where the tokenizer knows one."""
    video = getattr(tokenizer, "video_token_id", None)
    return tokenizer.image_token_id if video is None else video
