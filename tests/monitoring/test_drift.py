"""Drift tests: they agree with those of others, and find what is there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from nbprod.errors import UsageError
from nbprod.monitoring.columns import Column, binned, counted
from nbprod.monitoring.drift import GROUP, OWN, Binned, _chi_square_tail, chi2, compare, js, ks, psi, wasserstein
from nbprod.plugins import resolve

COUNTS = st.lists(st.integers(0, 500), min_size=3, max_size=8)


def both(one: Sequence[float], other: Sequence[float], **fields: Any) -> tuple[Binned, Binned]:
    return Binned(counts=np.array(one, float), **fields), Binned(counts=np.array(other, float), **fields)


def column(values: list[Any]) -> tuple[pa.ChunkedArray, Column]:
    array = pa.chunked_array([pa.array(values)])
    return array, binned(array)


def test_chi_square_is_scipys() -> None:
    one, other = [300, 200, 500], [30, 25, 60]
    found = chi2(*both(one, other))
    expected = stats.chi2_contingency([one, other], correction=False)
    assert found.statistic == pytest.approx(expected.statistic)
    assert found.p == pytest.approx(expected.pvalue)


@given(value=st.floats(0, 900), freedom=st.integers(1, 120))
def test_the_tail_of_chi_square_is_scipys(value: float, freedom: int) -> None:
    assert _chi_square_tail(value, freedom) == pytest.approx(stats.chi2.sf(value, freedom), rel=1e-8, abs=1e-300)


def test_kolmogorov_smirnov_on_fine_bins_is_close_to_scipys_on_the_values() -> None:
    chance = np.random.default_rng(1)
    reference, current = chance.normal(size=20_000), chance.normal(0.1, size=1500)
    values, bins = column(reference.tolist())
    known = counted(values, bins)
    own = counted(pa.chunked_array([pa.array(current)]), bins)
    found = compare(known, own, test="ks", options={}, alpha=0.05, effect=0.0)
    expected = stats.ks_2samp(reference, current)
    assert found is not None and found.p is not None
    assert found.statistic == pytest.approx(expected.statistic, abs=0.01)
    assert found.drifted == (expected.pvalue < 0.05)


@settings(deadline=None)
@given(one=COUNTS)
def test_what_is_alike_never_drifts(one: list[int]) -> None:
    counts = [float(count) for count in one]
    for name, test in OWN.items():
        found = test(*both(counts, counts, places=np.arange(len(counts), dtype=float)))
        assert not found.drifted, name
        assert found.effect == pytest.approx(0.0, abs=1e-6), name


@settings(deadline=None)
@given(one=COUNTS, other=COUNTS)
def test_distances_are_within_their_bounds_and_symmetric(one: list[int], other: list[int]) -> None:
    size = min(len(one), len(other))
    a, b = both([float(x) + 1 for x in one[:size]], [float(x) + 1 for x in other[:size]])
    assert 0 <= js(a, b).statistic <= 1
    assert js(a, b).statistic == pytest.approx(js(b, a).statistic)
    assert psi(a, b).statistic >= -1e-12
    assert 0 <= ks(a, b).statistic <= 1
    p = chi2(a, b).p
    assert p is not None and 0 <= p <= 1


def test_wasserstein_is_the_distance_in_standard_deviations() -> None:
    chance = np.random.default_rng(2)
    values, bins = column(chance.normal(10, 3, 50_000).tolist())
    own = counted(pa.chunked_array([pa.array(chance.normal(11.5, 3, 50_000))]), bins)
    found = compare(counted(values, bins), own, test="wasserstein", options={}, alpha=1, effect=0)
    assert found is not None
    assert found.statistic == pytest.approx(0.5, abs=0.07)


def test_levels_of_which_few_rows_are_expected_do_not_alarm_by_themselves() -> None:
    found = chi2(*both([90_000.0, 9_980.0, *[2.0] * 10], [899.0, 96.0, *[0.5] * 10]), alpha=0.01)
    assert not found.drifted


def test_nothing_to_compare_is_no_drift() -> None:
    empty = Column(kind="category", values=("a",), counts=(0,))
    assert compare(empty, empty, test="auto", options={}, alpha=0.05, effect=0.03) is None
    assert not chi2(*both([1.0, 2.0], [0.0, 0.0])).drifted
    assert not wasserstein(*both([1.0, 2.0], [1.0, 2.0])).drifted


def test_all_are_found_by_their_entry_point() -> None:
    for name, function in OWN.items():
        assert resolve(GROUP, name) is function
    with pytest.raises(UsageError, match="Did you mean 'wasserstein'"):
        resolve(GROUP, "waserstein")
