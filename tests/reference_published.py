"""The algorithm of Bonnasse-Gahot & Pallier (2024) from its description, loops and all.

Written for reading, not for speed, and without a line of the package: one regressor at a time by
nilearn, one ridge regression per penalty by scikit-learn, one correlation per voxel by numpy.
"""

import numpy as np
from nilearn.glm.first_level import compute_regressor
from scipy import stats
from sklearn.linear_model import LinearRegression, Ridge

ALPHAS = np.logspace(2, 7, 16)


def z_scored(values):
    return (values - values.mean(axis=0)) / values.std(axis=0)


def average_listener(listeners, trim):
    """Mean of the listeners' z-scored scans of a run, z-scored; trimmed, and z-scored again."""
    mean = z_scored(np.mean([z_scored(scans) for scans in listeners], axis=0))
    return z_scored(mean[trim[0] : len(mean) - trim[1]])


def regressors(vectors, words, n_scans, tr, trim):
    """Boxcars of the height of each unit's activation through the Glover response."""
    onset, duration = words["onset"].to_numpy(), (words["offset"] - words["onset"]).to_numpy()
    frame_times = np.array([scan * tr + tr / 2 for scan in range(n_scans)])
    columns = []
    for unit in range(vectors.shape[1]):
        condition = (onset, duration, vectors[:, unit].astype(float))
        columns.append(
            compute_regressor(condition, "glover", frame_times, oversampling=50)[0][:, 0]
        )
    return z_scored(np.column_stack(columns)[trim[0] : n_scans - trim[1]])


def correlations(predicted, measured):
    return np.array(
        [np.corrcoef(predicted[:, v], measured[:, v])[0, 1] for v in range(measured.shape[1])]
    )


def predicted(X, Y, training, test, alpha):
    model = Ridge(alpha, fit_intercept=False)
    model.fit(np.vstack([X[run] for run in training]), np.vstack([Y[run] for run in training]))
    return model.predict(X[test])


def layer_map(X, Y):
    """Mean over runs of the test correlation; alpha by the mean over voxels of one inner run."""
    maps, chosen = [], []
    for test in range(len(X)):
        training = [run for run in range(len(X)) if run != test]
        validation, *fitted = training
        scores = [
            correlations(predicted(X, Y, fitted, validation, alpha), Y[validation]).mean()
            for alpha in ALPHAS
        ]
        alpha = ALPHAS[np.argmax(scores)]
        chosen.append(alpha)
        maps.append(correlations(predicted(X, Y, training, test, alpha), Y[test]))
    return np.mean(maps, axis=0), chosen


def best_of_layers(layer_maps):
    """In every voxel the highest of the layers' test scores."""
    return np.array([max(values) for values in np.transpose(layer_maps)])


def halves(values):
    """The first half of the voxels is called left, the rest right."""
    half = len(values) // 2
    return values[:half], values[half:]


def summaries(brain_map, isc):
    """(voxels, statistic) -> both, left, right, left minus right."""
    reliable = isc > np.percentile(isc, 75)
    left, right = halves(brain_map)
    reliable_left, reliable_right = halves(reliable)
    p90 = np.percentile(left, 90), np.percentile(right, 90)
    found = {
        ("all", "mean"): (brain_map.mean(), left.mean(), right.mean()),
        ("reliable", "mean"): (
            brain_map[reliable].mean(),
            left[reliable_left].mean(),
            right[reliable_right].mean(),
        ),
        ("all", "90th percentile"): (np.percentile(brain_map, 90), *p90),
    }
    return {
        key: {"both": both, "L": left, "R": right, "L-R": left - right}
        for key, (both, left, right) in found.items()
    }


def voxel_slopes(maps, n_parameters):
    """Slope of every voxel's score on ln(parameters) over models."""
    x = np.log(n_parameters).reshape(-1, 1)
    maps = np.asarray(maps)
    return np.array([LinearRegression().fit(x, maps[:, v]).coef_[0] for v in range(maps.shape[1])])


def slope_test(slopes, left, right):
    """Mean slope of either side, and Student's t-test with voxels as units."""
    test = stats.ttest_ind(slopes[left], slopes[right])
    return slopes[left].mean(), slopes[right].mean(), test.statistic, test.pvalue
