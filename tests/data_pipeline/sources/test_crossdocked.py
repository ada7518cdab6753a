"""CrossDocked2020: types files, and the receptors and poses that they point to."""

import gzip

import numpy as np
import pytest

from biomatrix_jax.errors import BadInput
from data_pipeline import sources
from data_pipeline.records import Property
from data_pipeline.sources import crossdocked
from data_pipeline.sources.tally import Tally
from tests.data_pipeline.sources.complex_files import LIGAND, pose, receptor, sdf

POCKET = "1A1D_CYBSA_1_341_0"
POSES = f"{POCKET}/1j0c_A_rec_1j0d_5pa_lig_tt_docked"


def line(number=0, label="1", pk="6.6200", rmsd="1.1921", vina="#-9.1514", poses=POSES) -> str:
    rec = f"{POCKET}/1j0c_A_rec_0.gninatypes"
    return f"{label} {pk} {rmsd} {rec} {poses}_{number}.gninatypes {vina}"


@pytest.fixture
def corpus(tmp_path):
    """A folder as unpacked: types beside the pockets; poses with and without hydrogens."""
    (tmp_path / "types").mkdir()
    (tmp_path / POCKET).mkdir()
    (tmp_path / POCKET / "1j0c_A_rec.pdb").write_text(receptor())
    poses = sdf(pose(shift=1.0), pose(hydrogens=True, shift=5.0), pose("CCO"))
    (tmp_path / f"{POSES}.sdf.gz").write_bytes(gzip.compress(poses.encode()))
    return tmp_path


def read(corpus, *lines: str, **options) -> tuple[list, Tally]:
    path = corpus / "types" / "it2_tt_v1.1_completeset_train0.types"
    path.write_text("\n".join(lines) + "\n")
    tally = Tally()
    return list(
        sources.read("crossdocked", str(path), crossdocked.Options(**options), tally)
    ), tally


def test_a_pose_is_the_receptor_and_that_entry_of_the_ligands_file(corpus):
    first, second = read(corpus, line(0), line(1, vina="# -7.5 extra"))[0]
    assert first.id == f"{POSES}_0"
    assert first.properties == (
        Property("RMSD to the crystal pose", 1.1921, "Å"),
        Property("AutoDock Vina score", -9.1514, "kcal/mol"),
        Property("-log10(Kd, Ki or IC50 in M)", 6.62),
    )
    protein, ligand = first.partners
    assert (protein.id, protein.sequence) == ("1j0c_A_rec_A", "A" * 9)
    assert protein.backbone.shape == (9, 4, 3)
    assert (ligand.id, ligand.smiles) == ("1j0d_5pa", LIGAND)
    distance = np.ptp(
        [r.partners[1].mol.GetConformer().GetPositions()[0, 0] for r in (first, second)]
    )
    assert distance == pytest.approx(4.0)
    assert second.properties[1].value == -7.5


def test_hydrogens_that_were_placed_are_counted_or_the_pose_goes(corpus):
    records, tally = read(corpus, line(0), line(1))
    assert tally.lost == {"pose: hydrogens placed by RDKit": 1}
    assert tally.first == {"pose: hydrogens placed by RDKit": f"{POSES}_0"}
    assert [r.partners[1].mol.GetNumAtoms() for r in records] == [13, 13]
    records, tally = read(corpus, line(0), line(1), add_hydrogens=False)
    assert tally.lost == {"3D view: hydrogens without coordinates": 1}
    assert [r.partners[1].mol.GetNumConformers() for r in records] == [0, 1]


def test_affinities_are_unknown_or_of_bad_poses(corpus):
    lines = [line(pk="0.0000"), line(pk="-6.05", rmsd="5.36", label="0"), line(pk="?", vina="")]
    records, tally = read(corpus, *lines, max_rmsd=None)
    assert [[p.value for p in r.properties] for r in records] == [
        [1.1921, -9.1514],
        [5.36, -9.1514, 6.05],
        [1.1921],
    ]
    assert tally.lost["pK: not a number"] == 1


def test_lines_that_give_no_complex_are_counted(corpus):
    (corpus / f"{POCKET}/x_rec_bad_lig_tt_min.sdf").write_text(sdf(pose()).replace(" C  ", " Xx "))
    (corpus / f"{POCKET}/x_rec_cut_lig_tt_min.sdf.gz").write_bytes(gzip.compress(b"x" * 99)[:-9])
    records, tally = read(
        corpus,
        line(0),
        line(0, rmsd="2.01"),
        line(0, rmsd="nan"),
        line(3),
        line(0, poses=f"{POCKET}/x_rec_bad_lig_tt_min"),
        line(0, poses=f"{POCKET}/x_rec_cut_lig_tt_min"),
        line(0, poses=f"{POCKET}/absent_lig_tt_min"),
        line(0).replace("1j0c_A_rec_0", "9xyz_A_rec_0"),
        line(0).replace("6.6200 ", ""),  # as in the types for the DenseNet
        line(0).replace(".gninatypes", ".pdb"),
        "",
    )
    assert len(records) == 1
    assert tally.dropped == {
        "RMSD above 2 angstrom": 1,
        "RMSD: not a number": 1,
        "no pose of that number": 1,
        "RDKit reads no molecule": 1,
        "file of poses is damaged or cut short": 1,
        "no file of the ligand": 1,
        "no file of the receptor": 1,
        "not label, pK, RMSD, receptor and ligand": 2,
    }
    assert tally.first["no pose of that number"] == f"{POSES}_3"


def test_structures_may_lie_elsewhere_and_be_outside_the_limits(corpus, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (corpus / POCKET).rename(elsewhere / POCKET)
    assert len(read(corpus, line(0), structures=str(elsewhere))[0]) == 1
    with pytest.raises(BadInput, match=r"no usable record .*no file of the receptor"):
        read(corpus, line(0))
    with pytest.raises(BadInput, match=r"no usable record .*longer than 5 residues"):
        read(corpus, line(0), structures=str(elsewhere), max_residues=5)


@pytest.mark.parametrize("wrong", [{"max_rmsd": -1.0}, {"max_residues": 0}, {"limit": 0}])
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(BadInput, match=f"{next(iter(wrong))} must be at least"):
        crossdocked.Options(**wrong)
