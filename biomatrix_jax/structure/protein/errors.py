"""Why a structure file, or a chain of one, cannot be used; every error names the entry, and the
chain where it is about one."""

from biomatrix_jax.errors import BadInput


class ProteinError(BadInput):
    """A structure file or a protein chain that cannot be read, encoded or written.

    Attributes:
      entry: the file, or what the file calls its structure.
      chain: the chain's id; empty where the error is about the whole file, or the id is blank.
      problem: what is wrong with it and what to do.
    """

    def __init__(self, entry: str, chain: str, problem: str):
        where = f"{entry}, chain {chain}" if chain else entry
        where = where if len(where) <= 200 else f"{where[:197]}..."
        super().__init__(f"{where}: {problem}")
        self.entry = entry
        self.chain = chain
        self.problem = problem

    def __reduce__(self):
        # The default would call the class with the finished message alone; worker processes send
        # these errors back pickled.
        return type(self), (self.entry, self.chain, self.problem)


class UnreadableFile(ProteinError):
    """No PDB, mmCIF or BinaryCIF file, or one that is empty, cut short, damaged or too large."""


class DamagedChain(ProteinError):
    """A chain that gives an atom or a residue twice, or an atom no residue number."""


class NoProtein(ProteinError):
    """A chain without a residue that has a CA: nucleic acids, water, ligands, HETATM groups."""


class TooLong(ProteinError):
    """A chain of more residues than the limit, gaps included."""


class TooManyMissing(ProteinError):
    """A chain too large a share of which was not observed."""


class MissingRun(ProteinError):
    """A chain with a gap longer than the limit."""


class CannotWrite(ProteinError):
    """A chain that the file format has no room or no words for."""
