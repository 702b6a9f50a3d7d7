"""Run many edits and read what becomes of beliefs, through the exact fast passes of the engine."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from tqdm.auto import tqdm
from transformers import Cache

from helpers.beliefs import answer_forms, read_beliefs
from helpers.engine import CleanRun, depth_of
from helpers.fingerprint import Fingerprint
from helpers.hooks import HookedVLM
from helpers.interventions import Edit, Job, check_edit
from helpers.pictures import pictures_once
from helpers.prompts import Prompt

#: Bytes that a batch may take beside the model, unless said otherwise.
BUDGET = 2**30
#: Prompts in one clean pass at most; more save nothing.
_MOST_PROMPTS = 32


# Planning ---------------------------------------------------------------------------------------


@dataclass
class _Group:
    """Jobs of one prompt that run together: ``members`` index the list of jobs."""

    prompt: Prompt
    in_image: bool
    members: list[int]
    start: int


@dataclass
class _Batch:
    """Groups that share a clean pass, and how many rows of each fit into memory at once."""

    groups: list[_Group]
    rows: int


def _group(jobs: Sequence[Job]) -> list[_Group]:
    """Collect jobs by prompt. Edits in the image start early, so they do not hold up the others."""
    groups: dict[tuple[int, bool], _Group] = {}
    for index, job in enumerate(jobs):
        prompt = job.prompt
        first = min((min(edit.positions) for edit in job.edits), default=prompt.last)
        in_image = first <= prompt.image_patches.positions[-1]
        group = groups.setdefault((id(prompt), in_image), _Group(prompt, in_image, [], first))
        group.members.append(index)
        group.start = min(group.start, first)
    return sorted(groups.values(), key=lambda g: (g.in_image, g.start, len(g.prompt)))


def _clean_bytes(vlm: HookedVLM, length: int) -> int:
    """About what a clean pass over one prompt takes: keys, values, streams, a block at work."""
    config = vlm.model.config.get_text_config()
    kept = (2 * config.num_key_value_heads * _head_width(config) + vlm.d_model) * vlm.n_layers
    at_work = 8 * vlm.d_model + 3 * config.intermediate_size
    return length * (kept + at_work) * vlm.dtype.itemsize


def _row_bytes(vlm: HookedVLM, length: int, start: int) -> int:
    """About what one row of edits takes: a block at work, attention scores, logits."""
    config = vlm.model.config.get_text_config()
    at_work = (length - start) * (10 * vlm.d_model + 3 * config.intermediate_size)
    scores = 4 * 2 * config.num_attention_heads * (length - start) * length
    return (at_work + config.vocab_size) * vlm.dtype.itemsize + scores


def _head_width(config) -> int:
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def _plan(vlm: HookedVLM, jobs: Sequence[Job], budget: int) -> list[_Batch]:
    """Pack jobs into batches within a budget of bytes.

    Raises:
        ValueError: if the budget is too small for one row.
    """
    batches: list[_Batch] = []
    for group in _group(jobs):
        open_groups = batches[-1].groups if batches else []
        joined = [*open_groups, group]
        alike = open_groups and open_groups[0].in_image == group.in_image
        if alike and len(joined) <= _MOST_PROMPTS and _rows_that_fit(vlm, joined, budget) > 0:
            batches[-1].groups.append(group)
        elif _rows_that_fit(vlm, [group], budget) > 0:
            batches.append(_Batch([group], 0))
        else:
            length = len(group.prompt)
            need = _clean_bytes(vlm, length) + _row_bytes(vlm, length, group.start)
            raise ValueError(
                f"a budget of {budget:,} bytes is too small for one row of edits, which takes "
                f"about {need:,} bytes with its clean pass"
            )
    for batch in batches:
        batch.rows = _rows_that_fit(vlm, batch.groups, budget)
    return batches


def _rows_that_fit(vlm: HookedVLM, groups: Sequence[_Group], budget: int) -> int:
    length = max(len(group.prompt) for group in groups)
    start = min(group.start for group in groups)
    left = budget - len(groups) * _clean_bytes(vlm, length)
    return left // (len(groups) * _row_bytes(vlm, length, start))


# Running ----------------------------------------------------------------------------------------


def _begin(vlm: HookedVLM, batch: _Batch, jobs: Sequence[Job]) -> CleanRun:
    members = [index for group in batch.groups for index in group.members]
    depths = {depth_of(edit.site) for index in members for edit in jobs[index].edits}
    start = min(group.start for group in batch.groups)
    # Behind the last block nothing is kept: edits there begin before it.
    return CleanRun(vlm, [group.prompt for group in batch.groups], start, depths - {vlm.n_layers})


def _run(
    vlm: HookedVLM, batch: _Batch, jobs: Sequence[Job]
) -> Iterator[tuple[list[int], torch.Tensor]]:
    """Yield indices of jobs and their logits, ``[jobs, vocabulary]``."""
    clean = _begin(vlm, batch, jobs)
    plain = {
        index: clean.logits[number]
        for number, group in enumerate(batch.groups)
        for index in group.members
        if not jobs[index].edits
    }
    if plain:
        yield list(plain), torch.stack(list(plain.values()))
    edited = [[i for i in group.members if jobs[i].edits] for group in batch.groups]
    most = max(map(len, edited))
    for begin in range(0, most, batch.rows):
        parts = [members[begin : begin + batch.rows] for members in edited]
        width = max(map(len, parts))
        rows = [
            [jobs[index].edits for index in part] + [()] * (width - len(part)) for part in parts
        ]
        logits = clean.run(rows)
        found = [logits[number, : len(part)] for number, part in enumerate(parts)]
        yield [index for part in parts for index in part], torch.cat(found)


def rest_of_form(
    clean: CleanRun, edits: Sequence[tuple[Edit, ...]], form: tuple[int, ...]
) -> torch.Tensor:
    """Log-probability of a form's tokens after its first, behind rows of edits, ``[rows]``.

    Args:
        clean: the clean pass of a single prompt.
        edits: of each row.
        form: the tokens.
    """
    vlm = clean.vlm
    _, cache = clean.caches(edits)
    ids = torch.tensor([form[:-1]] * len(edits), device=vlm.device)
    more = vlm.continued(clean.prompts[0], *ids.shape)
    logits = vlm.model(input_ids=ids, past_key_values=cache, **more).logits
    logits = logits.float().log_softmax(-1)
    new = torch.tensor(form[1:], device=vlm.device)
    return logits.gather(2, new.expand(len(ids), -1)[..., None])[..., 0].sum(1).cpu()


def _rest_of_form(vlm: HookedVLM, jobs: Sequence[Job], form: tuple[int, ...]) -> torch.Tensor:
    """As :func:`rest_of_form`, for jobs of any prompts, ``[jobs]``."""
    totals = torch.zeros(len(jobs))
    for group in _group(jobs):
        clean = _begin(vlm, _Batch([group], len(group.members)), jobs)
        edits = [jobs[index].edits for index in group.members]
        totals[group.members] = rest_of_form(clean, edits, form)
    return totals


def _checked(vlm: HookedVLM, jobs: Iterable[Job]) -> list[Job]:
    """The jobs, if there are any and all their edits can be made."""
    jobs = list(jobs)
    if not jobs:
        raise ValueError("a sweep of no jobs has no result")
    for job in jobs:
        for edit in job.edits:
            check_edit(vlm, job.prompt, edit)
    return jobs


def sweep(
    vlm: HookedVLM,
    jobs: Iterable[Job],
    answers: Sequence[str],
    budget: int = BUDGET,
    save_to: str | Path | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Run every job and read the belief at the last token.

    Args:
        vlm: the model.
        jobs: prompts with their edits, of any sites, doses and prompts mixed.
        answers: the answers that the belief is between.
        budget: bytes that a batch may take beside the model; batches are cut to fit.
        save_to: a folder. What is done is kept there, and the same call goes on where it was cut
            off. Other sweeps may use the same folder.
        progress: show a bar.

    Returns:
        A row for each job, in their order: its labels and the columns of
        :func:`helpers.beliefs.beliefs`.

    Raises:
        ValueError: if there are no jobs, an edit cannot be made, or the budget is too small for
            one row (before anything runs).
    """
    return _sweep(vlm, _checked(vlm, jobs), answers, budget, save_to, progress)


def _sweep(
    vlm: HookedVLM,
    jobs: Sequence[Job],
    answers: Sequence[str],
    budget: int,
    save_to: str | Path | None,
    progress: bool,
    ready: CleanRun | None = None,
) -> pd.DataFrame:
    """A sweep of checked jobs; those without edits may be about prompts that are ``ready``."""
    forms = answer_forms(vlm, jobs[0].prompt, answers)
    batches = _plan(vlm, jobs, budget)
    store = _Store(save_to, vlm, jobs, answers) if save_to else None
    tables = store.load() if store else []
    done = {index for table in tables for index in table.index}
    bar = tqdm(total=len(jobs), initial=len(done), desc="sweep", disable=not progress, leave=False)

    def note(indices: list[int], logits: torch.Tensor) -> None:
        part = [jobs[index] for index in indices]

        def rest(form: tuple[int, ...], rows: list[int]) -> torch.Tensor:
            return _rest_of_form(vlm, [part[row] for row in rows], form)

        table = read_beliefs([job.prompt.question for job in part], forms, logits, rest)
        table.index = indices
        tables.append(table)
        if store:
            store.add(table)
        bar.update(len(indices))

    with bar, torch.no_grad(), pictures_once(vlm):
        known = _known(jobs, done, ready)
        if known:
            note(list(known), ready.logits[list(known.values())])
        for batch in batches:
            for group in batch.groups:
                group.members = [i for i in group.members if i not in done and i not in known]
            batch.groups = [group for group in batch.groups if group.members]
            if batch.groups:
                for indices, logits in _run(vlm, batch, jobs):
                    note(indices, logits)
    labels = pd.DataFrame([job.labels for job in jobs])
    return pd.concat([labels, pd.concat(tables).sort_index()], axis=1)


def _known(jobs: Sequence[Job], done: set[int], ready: CleanRun | None) -> dict[int, int]:
    """From jobs that a clean run has answered, and no table has yet, to their rows in it."""
    rows = {id(prompt): row for row, prompt in enumerate(ready.prompts)} if ready else {}
    return {
        index: rows[id(job.prompt)]
        for index, job in enumerate(jobs)
        if not job.edits and id(job.prompt) in rows and index not in done
    }


class _Store:
    """Parts of one sweep in a folder: written whole or not at all, and named after the sweep."""

    def __init__(
        self, folder: str | Path, vlm: HookedVLM, jobs: Sequence[Job], answers: Sequence[str]
    ) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.name = _fingerprint(vlm, jobs, answers)

    def load(self) -> list[pd.DataFrame]:
        return [
            pd.read_parquet(path) for path in sorted(self.folder.glob(f"{self.name}-*.parquet"))
        ]

    def add(self, table: pd.DataFrame) -> None:
        path = self.folder / f"{self.name}-{table.index[0]:07d}.parquet"
        table.to_parquet(path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)


def _fingerprint(vlm: HookedVLM, jobs: Sequence[Job], answers: Sequence[str]) -> str:
    """A name for a sweep: the same model, prompts, edits and answers give the same."""
    found = Fingerprint("sweep", tuple(answers)).add(vlm)
    prompts: dict[int, str] = {}
    for job in jobs:
        if id(job.prompt) not in prompts:
            prompts[id(job.prompt)] = str(Fingerprint().add(job.prompt))
        found.add(prompts[id(job.prompt)])
        for edit in job.edits:
            found.add(edit.site, edit.positions, edit.replace, edit.vectors)
    return str(found)


def replies(vlm: HookedVLM, jobs: Sequence[Job], max_new_tokens: int = 24) -> pd.DataFrame:
    """Let the model answer, greedily, under each job's edits of the prompt.

    What an edit changes stays in the keys and values while the answer is written. The tokens
    before the first edit run once for all jobs of a prompt.

    Returns:
        A row for each job: its labels and ``reply``.

    Raises:
        ValueError: if there are no jobs or an edit cannot be made.
    """
    jobs = _checked(vlm, jobs)
    tokenizer, eos = vlm.processor.tokenizer, vlm.model.generation_config.eos_token_id
    ends = [] if eos is None else torch.tensor(eos).flatten().tolist()
    found = [""] * len(jobs)
    for group in _group(jobs):
        clean = _begin(vlm, _Batch([group], len(group.members)), jobs)
        logits, cache = clean.caches([jobs[index].edits for index in group.members])
        answers = _greedy(vlm, group.prompt, logits, cache, max_new_tokens, ends)
        for index, row in zip(group.members, answers.tolist(), strict=True):
            stop = next((n for n, token in enumerate(row) if token in ends), len(row))
            found[index] = tokenizer.decode(row[:stop], skip_special_tokens=True).strip()
    return pd.DataFrame([job.labels for job in jobs]).assign(reply=found)


@torch.no_grad()
def _greedy(
    vlm: HookedVLM,
    prompt: Prompt,
    logits: torch.Tensor,
    cache: Cache,
    count: int,
    ends: Sequence[int],
) -> torch.Tensor:
    """Likeliest tokens behind kept rows, ``[rows, tokens]``, until every answer has ended."""
    tokens = [logits.argmax(-1, keepdim=True)]
    more = vlm.continued(prompt, len(logits), 1)
    over = torch.isin(tokens[0], torch.tensor(ends, device=logits.device))
    while len(tokens) < count and not bool(over.all()):
        # No attention mask: with one, Qwen builds positions for all of it.
        output = vlm.model(input_ids=tokens[-1], past_key_values=cache, **more)
        tokens.append(output.logits[:, -1].argmax(-1, keepdim=True))
        over |= torch.isin(tokens[-1], torch.tensor(ends, device=logits.device))
    return torch.cat(tokens, 1)


def mirror_swap(
    vlm: HookedVLM,
    prompts: Sequence[Prompt],
    mirrored: Sequence[Prompt],
    groups: dict[str, Sequence[Sequence[int]]],
    answers: Sequence[str] | Sequence[tuple[str, str]],
    sites: Sequence[str] | None = None,
    budget: int = BUDGET,
    save_to: str | Path | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Write the states of mirrored runs into clean ones, by site and by group of tokens.

    Args:
        vlm: the model.
        prompts: the clean prompts.
        mirrored: the same questions about the mirrored (or recoloured) images.
        groups: name of a group to its positions in every prompt.
        answers: the two answers that the belief is read from, or a pair of them for each prompt:
            questions of several kinds about the same image or video share its passes.
        sites: by default the stream after every block.
        budget: bytes that a batch may take beside the model.
        save_to: a folder that keeps what is done, as in :func:`sweep`.
        progress: show a bar.

    Returns:
        A row for each prompt, site and group: ``prompt``, ``site``, ``layer``, ``group``, and the
        log-odds ``clean``, ``mirrored`` and ``patched``.

    Raises:
        ValueError: if there are no prompts or no groups, or if a prompt and its mirrored one have
            different tokens.
    """
    if not prompts:
        raise ValueError("an empty list of prompts has no result")
    if not groups:
        raise ValueError("no groups of positions to swap")
    everywhere = [vlm.resid_post(layer) for layer in range(vlm.n_layers)]
    sites = vlm.select(everywhere if sites is None else sites)
    for one, other in zip(prompts, mirrored, strict=True):
        if one.tokens != other.tokens:
            raise ValueError(f"tokens differ: {one.question!r} and {other.question!r}")
    longest = max(map(len, prompts))
    states_of_one = longest * len(sites) * vlm.d_model * vlm.dtype.itemsize
    size = max(1, min(_MOST_PROMPTS, budget // (2 * states_of_one)))
    tables = []
    bar = tqdm(total=len(prompts), desc="mirror swap", disable=not progress, leave=False)
    with bar, pictures_once(vlm):
        for begin in range(0, len(prompts), size):
            chosen = range(begin, min(begin + size, len(prompts)))
            tables.append(
                _swap_some(vlm, prompts, mirrored, groups, answers, sites, budget, save_to, chosen)
            )
            bar.update(len(chosen))
    return pd.concat(tables, ignore_index=True)


def _swap_some(
    vlm: HookedVLM,
    prompts: Sequence[Prompt],
    mirrored: Sequence[Prompt],
    groups: dict[str, Sequence[Sequence[int]]],
    answers: Sequence[str] | Sequence[tuple[str, str]],
    sites: Sequence[str],
    budget: int,
    save_to: str | Path | None,
    chosen: range,
) -> pd.DataFrame:
    first = min(min(positions[index]) for positions in groups.values() for index in chosen)
    sources = CleanRun(vlm, [mirrored[i] for i in chosen], first, [depth_of(s) for s in sites])
    jobs = []
    for row, index in enumerate(chosen):
        jobs.append(Job(prompts[index], (), {"prompt": index, "group": "clean"}))
        jobs.append(Job(mirrored[index], (), {"prompt": index, "group": "mirrored"}))
        for site in sites:
            states = sources.stream(depth_of(site))[row]
            for group, positions in groups.items():
                where = tuple(positions[index])
                vectors = states[[position - sources.start for position in where]]
                labels = {"prompt": index, "site": site, "layer": int(site.split(".")[1])}
                edit = Edit(site, where, vectors, replace=True)
                jobs.append(Job(prompts[index], (edit,), labels | {"group": group}))
    pairs = [answers] * len(prompts) if isinstance(answers[0], str) else answers
    words = tuple(dict.fromkeys(word for pair in pairs for word in pair))
    table = _sweep(vlm, _checked(vlm, jobs), words, budget, save_to, False, sources)
    if len(words) > 2:
        one, other = zip(*(pairs[index] for index in table["prompt"]), strict=True)
        scores = table[[f"log_prob_{word}" for word in words]].to_numpy()
        rows = range(len(table))
        table["log_odds"] = (
            scores[rows, [words.index(word) for word in one]]
            - scores[rows, [words.index(word) for word in other]]
        )
    odds = table[table["site"].isna()].pivot(index="prompt", columns="group", values="log_odds")
    table = table[table["site"].notna()].join(odds, on="prompt")
    table = table.rename(columns={"log_odds": "patched"}).astype({"layer": int})
    return table[["prompt", "site", "layer", "group", "clean", "mirrored", "patched"]]
