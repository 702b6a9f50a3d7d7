"""The geometry of IDs: planes, fits of place to ID, linear probes. All figures are held out."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from helpers.hooks import HookedVLM
from helpers.ids import Axes
from helpers.reading import read_states
from helpers.stats import Interval, ratio_of_means


def as_cells(ids: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Flatten a grid of IDs.

    Args:
        ids: ``[..., rows, columns, d_model]``.

    Returns:
        Places ``[points, 2]`` as (row, column), and vectors ``[points, d_model]``.
    """
    rows, columns, width = ids.shape[-3:]
    places = np.stack(np.meshgrid(range(rows), range(columns), indexing="ij"), -1).reshape(-1, 2)
    repeats = int(np.prod(ids.shape[:-3]))
    return np.tile(places, (repeats, 1)).astype(float), ids.reshape(-1, width).numpy()


def pca(ids: torch.Tensor, components: int = 6) -> PCA:
    """Principal components of a grid of IDs, fitted by scikit-learn."""
    return PCA(components).fit(as_cells(ids)[1])


def on_plane(vectors: torch.Tensor, axes: Axes) -> np.ndarray:
    """Coordinates of vectors in the plane of the two axes, in cells.

    Args:
        vectors: ``[..., d_model]``.
        axes: the column and row axes of a site.

    Returns:
        ``[..., 2]``: how many cells rightward and downward, by least squares.
    """
    basis = torch.stack([axes.column, axes.row], dim=1)
    return (vectors.float() @ torch.linalg.pinv(basis).T).numpy()


def plane_share(vectors: torch.Tensor, axes: Axes) -> float:
    """Share of the vectors' squared length that lies in the plane of the axes.

    Use vectors that had no part in making the axes: held-out pairs.
    """
    basis = torch.linalg.qr(torch.stack([axes.column, axes.row], dim=1)).Q
    inside = (vectors.float() @ basis).square().sum()
    return float(inside / vectors.float().square().sum())


def plane_share_over_pairs(vectors: torch.Tensor, axes: Axes, seed: int = 0) -> Interval:
    """:func:`plane_share` of ``[pairs, rows, columns, d_model]`` with an interval over pairs."""
    basis = torch.linalg.qr(torch.stack([axes.column, axes.row], dim=1)).Q
    inside = (vectors.float() @ basis).square().sum((1, 2, 3))
    return ratio_of_means(inside, vectors.float().square().sum((1, 2, 3)), seed)


def linear_prediction(train: torch.Tensor) -> torch.Tensor:
    """What a linear map from (row, column), fitted on some IDs, says for every cell.

    Args:
        train: ``[..., rows, columns, d_model]``.

    Returns:
        ``[rows, columns, d_model]``.
    """
    places, vectors = as_cells(train)
    model = LinearRegression().fit(places, vectors)
    cells = places[: train.shape[-3] * train.shape[-2]]
    return torch.from_numpy(model.predict(cells)).float().reshape(train.shape[-3:])


def rank_prediction(train: torch.Tensor, rank: int) -> torch.Tensor:
    """Each cell's mean ID, projected on the first ``rank`` principal components of the means.

    Args:
        train: ``[..., rows, columns, d_model]``.
        rank: the number of components.

    Returns:
        ``[rows, columns, d_model]``.
    """
    mean = train.reshape(-1, *train.shape[-3:]).mean(0)
    _, cells = as_cells(mean)
    model = PCA(rank).fit(cells)
    kept = model.inverse_transform(model.transform(cells))
    return torch.from_numpy(np.asarray(kept)).float().reshape(mean.shape)


def r2_over_pairs(prediction: torch.Tensor, test: torch.Tensor, seed: int = 0) -> Interval:
    """R2 of predicted IDs on the centred IDs of other pairs, with an interval over those pairs.

    Args:
        prediction: ``[rows, columns, d_model]``.
        test: ``[pairs, rows, columns, d_model]``, each pair centred over its cells.
        seed: of the bootstrap.
    """
    missed = (test - prediction).square().sum((1, 2, 3))
    ratio = ratio_of_means(missed, test.square().sum((1, 2, 3)), seed)
    return Interval(1 - ratio.estimate, 1 - ratio.high, 1 - ratio.low, ratio.n)


def linear_fit(train: torch.Tensor, test: torch.Tensor) -> float:
    """Held-out R2 of a linear map from (row, column) to ID, over all dimensions together.

    Args:
        train: IDs that the map is fitted on, ``[..., rows, columns, d_model]``.
        test: IDs of other pairs, on which it is scored.
    """
    return r2(linear_prediction(train), test)


def rank_fit(train: torch.Tensor, test: torch.Tensor, ranks: Sequence[int]) -> pd.DataFrame:
    """Held-out R2 when place may be coded in a space of a few dimensions (paper, Fig 5).

    Each cell's mean training ID, projected on the first ``rank`` principal components of the
    training IDs, predicts the test IDs of that cell.

    Returns:
        A row for each rank: ``rank`` and ``r2``.
    """
    return pd.DataFrame(
        [{"rank": rank, "r2": r2(rank_prediction(train, rank), test)} for rank in ranks]
    )


def r2(prediction: torch.Tensor, test: torch.Tensor) -> float:
    """R2 of predicted IDs ``[rows, columns, d_model]`` on others, with any axes before."""
    _, held_vectors = as_cells(test)
    guess = as_cells(prediction.expand(test.shape))[1]
    return float(r2_score(held_vectors, guess, multioutput="variance_weighted"))


def probe(
    states: np.ndarray, places: np.ndarray, groups: Sequence[str], folds: int = 5
) -> pd.DataFrame:
    """Linear probes from hidden states to place, tested on objects they never saw.

    Args:
        states: ``[points, d_model]``.
        places: ``[points, 2]`` as (row, column).
        groups: the object of each point; a fold holds out whole objects.
        folds: number of folds, at most the number of objects.

    Returns:
        A row for each axis: ``axis``, held-out ``r2``.

    Raises:
        ValueError: with fewer objects than folds.
    """
    if len(set(groups)) < folds:
        raise ValueError(f"{folds} folds need as many objects, not {len(set(groups))}")
    model = make_pipeline(StandardScaler(), Ridge(alpha=10.0))
    rows = []
    for column, axis in enumerate(("row", "column")):
        guess = cross_val_predict(
            model, states, places[:, column], groups=groups, cv=GroupKFold(folds)
        )
        rows.append({"axis": axis, "r2": float(r2_score(places[:, column], guess))})
    return pd.DataFrame(rows)


def cosine(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Cosine similarity along the last axis."""
    return torch.nn.functional.cosine_similarity(one.float(), other.float(), dim=-1)


# Words ------------------------------------------------------------------------------------------


def word_contrast(
    vlm: HookedVLM,
    images: Sequence,
    questions: Sequence[str],
    words: tuple[str, str],
    sites: Sequence[str],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Hidden state of one word of a question less that of another, and a null for it.

    A difference needs no centring: what the two words share falls out, as the mean over cells
    falls out of a difference of IDs.

    Args:
        vlm: the model.
        images: one for each question.
        questions: each holds both words. Balance which comes first.
        words: (from, to); the contrast is ``to - from``.
        sites: hook names.

    Returns:
        The mean contrast ``[sites, d_model]``; and the same for every pair of other tokens of the
        first question's text, ``[sites, token pairs, d_model]``: what any two words differ by.
    """
    prompts = vlm.prompt(list(images), list(questions))
    spans = [[prompt.word(word)[-1] for word in words] for prompt in prompts]
    states = read_states(vlm, prompts, spans, sites)
    contrast = (states[:, :, 1] - states[:, :, 0]).mean(1)
    first = prompts[0]
    taken = {position for word in words for position in first.word(word)}
    others = [position for position in first.text_positions if position not in taken]
    plain = read_states(vlm, [first], [others], sites)[:, 0]
    one, other = torch.triu_indices(len(others), len(others), 1)
    return contrast, plain[:, other] - plain[:, one]


def unembedding_contrast(
    vlm: HookedVLM, tokens: Sequence[int], others: Sequence[int]
) -> torch.Tensor:
    """Directions in the stream that raise ``tokens`` against ``others``, ``[pairs, d_model]``.

    The final norm's weights are part of the way from the stream to the logits, so they are folded
    in; its division by the stream's length is a positive number and turns nothing.
    """
    weights = vlm.model.get_output_embeddings().weight.detach().float().cpu()
    scale = vlm.model.get_decoder().norm.weight.detach().float().cpu()
    return (weights[list(tokens)] - weights[list(others)]) * scale
