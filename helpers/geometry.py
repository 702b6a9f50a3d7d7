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

from helpers.ids import Axes


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


def linear_fit(train: torch.Tensor, test: torch.Tensor) -> float:
    """Held-out R2 of a linear map from (row, column) to ID, over all dimensions together.

    Args:
        train: IDs that the map is fitted on, ``[..., rows, columns, d_model]``.
        test: IDs of other pairs, on which it is scored.
    """
    places, vectors = as_cells(train)
    model = LinearRegression().fit(places, vectors)
    held_places, held_vectors = as_cells(test)
    return float(
        r2_score(held_vectors, model.predict(held_places), multioutput="variance_weighted")
    )


def rank_fit(train: torch.Tensor, test: torch.Tensor, ranks: Sequence[int]) -> pd.DataFrame:
    """Held-out R2 when place may be coded in a space of a few dimensions (paper, Fig 5).

    Each cell's mean training ID, projected on the first ``rank`` principal components of the
    training IDs, predicts the test IDs of that cell.

    Returns:
        A row for each rank: ``rank`` and ``r2``.
    """
    grid_mean = train.reshape(-1, *train.shape[-3:]).mean(0)
    held_places, held_vectors = as_cells(test)
    _, centers = as_cells(grid_mean)
    columns = grid_mean.shape[1]
    index = (held_places[:, 0] * columns + held_places[:, 1]).astype(int)
    rows = []
    for rank in ranks:
        model = PCA(rank).fit(centers)
        kept = model.inverse_transform(model.transform(centers))
        r2 = r2_score(held_vectors, kept[index], multioutput="variance_weighted")
        rows.append({"rank": rank, "r2": float(r2)})
    return pd.DataFrame(rows)


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
