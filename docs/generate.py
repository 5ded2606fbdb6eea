"""The API pages, docs/api, from the docstrings: ``python docs/generate.py [folder]``."""

import sys
from pathlib import Path

import pdoc
import torch

MODULES = ("cclib", "cclib.arguments", "cclib.functional.registry", "cclib.geometry", "cclib.models")


class Written(str):
    """An annotation as it stands in the source."""

    __repr__ = str.__str__


def generate(folder: Path) -> None:
    """Write the pages to ``folder``."""
    # Scale, not the union of seven types that it is short for.
    pdoc.doc.safe_eval_type = pdoc.doc_types.safe_eval_type = lambda annotation, *_: (
        Written(annotation) if isinstance(annotation, str) else annotation
    )
    pdoc.render.configure(docformat="google", show_source=False, search=False, include_undocumented=False)
    pdoc.pdoc(*MODULES, output_directory=folder)
    inherited = f"<p>{torch.nn.Module.__init__.__doc__}</p>\n"
    for page in folder.rglob("*.html"):
        page.write_text(page.read_text(encoding="utf-8").replace(inherited, ""), encoding="utf-8")


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parent / "api")
