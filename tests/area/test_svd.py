"""Pulses in waveforms: exact sums of the basis are found again; files of bases."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from detcore.area.detector import Detector
from detcore.area.files.basis import Basis, read_basis, write_basis
from detcore.area.functions import DetObject, SvdFit
from detcore.area.images.svd import PulseFit, basis_of

RNG = np.random.default_rng(9)
TIME = np.arange(200)


def pulse(at, width=4.0, height=1.0):
    return height * np.exp(-(((TIME - at) / width) ** 2))


def references():
    return np.stack([pulse(60, height=h) + 0.2 * h * b * np.gradient(pulse(60)) for h, b in RNG.normal(3, 1, (30, 2))])


def test_the_basis_describes_what_it_was_made_of():
    waveforms = references()
    basis = basis_of(waveforms, 2)
    np.testing.assert_allclose(basis @ basis.T, np.eye(2), atol=1e-12)
    fit = PulseFit(basis)
    coefficients = fit.fit(waveforms)
    np.testing.assert_allclose(fit.reconstruct(coefficients), waveforms, atol=1e-10)
    np.testing.assert_allclose(fit.score(waveforms, coefficients), 1)
    np.testing.assert_allclose(fit.intensities(coefficients, "max")[:, 0], waveforms.max(axis=1), rtol=1e-9)
    np.testing.assert_allclose(fit.intensities(coefficients, "norm")[:, 0], np.linalg.norm(waveforms, axis=1))


def test_several_pulses_are_told_apart():
    basis = basis_of(references(), 2)
    both = 3 * pulse(60) + 5 * pulse(75)
    fit = PulseFit(basis, 2, 30.0, 2.0)
    coefficients = fit.fit(both)
    np.testing.assert_allclose(fit.intensities(coefficients)[0], [3, 5], rtol=1e-3)
    assert fit.intensities(coefficients, "both").shape == (2, 1, 2)
    late = PulseFit(basis, 1, 300.0)
    assert not late.basis.any()  # what leaves does not come back at the start
    with pytest.raises(ValueError, match="2 pulses need 2 delays"):
        PulseFit(basis, 2, [1, 2, 3])
    with pytest.raises(ValueError, match="the basis has 200 samples"):
        fit.fit(np.ones(150))
    with pytest.raises(ValueError, match="expected one of max"):
        fit.intensities(coefficients, "x")
    with pytest.raises(ValueError, match="finite waveforms"):
        basis_of(np.full((2, 2), np.nan))
    assert np.isnan(fit.score(np.ones(200), fit.fit(np.ones(200)))[0])


@pytest.mark.parametrize("kind", ["npz", "h5"])
def test_the_function_reads_its_basis_from_a_file(kind, tmp_path):
    basis = Basis(basis_of(references(), 3), roi=(0, 200), background_index=20, channel=1)
    path = tmp_path / f"basis.{kind}"
    if kind == "npz":
        write_basis(basis, path)
    else:
        with h5py.File(path, "w") as file:
            for key in ("components", "roi", "background_index", "channel"):
                file[key] = getattr(basis, key)
    again = read_basis(path)
    np.testing.assert_array_equal(again.components, basis.components)
    assert (again.roi, again.background_index, again.channel) == ((0, 200), 20, 1)
    data = np.stack([np.zeros(200), 7 + 4 * pulse(60)])
    det = DetObject("w", Detector(shape=(2, 200)), 1)
    det.addFunc(SvdFit(basis_file=path, return_reconstructed=True))
    det.getData(data)
    found = det.processFuncs()["svdFit"]
    np.testing.assert_allclose(found["intensities"], 4, rtol=1e-3)
    assert found["score"] > 0.999
    assert found["coefficients"].shape == (2,)
    assert found["reconstructed"].shape == (200,)
    assert det.params_as_dict()["svdFit__svdFit_basis_file"] == str(path)


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\nbroken", b"PK\x03\x04 no archive", b"components: 1"])
def test_foreign_files_are_refused(content, tmp_path):
    path = tmp_path / "foreign"
    path.write_bytes(content)
    with pytest.raises((ValueError, OSError), match=r"foreign|file"):
        read_basis(path)
    empty = tmp_path / "empty.npz"
    np.savez(empty, components=np.zeros(3))
    with pytest.raises(ValueError, match=r"empty\.npz: expected numbers 'components'"):
        read_basis(empty)
    with pytest.raises(FileNotFoundError):
        read_basis(tmp_path / "none")


def test_a_wrong_call_is_refused():
    with pytest.raises(ValueError, match="give basis or basis_file"):
        SvdFit()
    with pytest.raises(ValueError, match="n_components is 2"):
        SvdFit(basis=pulse(3))
