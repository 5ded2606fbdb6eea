"""The results as web pages: results/index.html and, for each notebook, results/pages/NN-name.html.

They need no network and no script; pictures are those in results/*/figures. nbconvert renders the notebooks and Jinja
puts the pages together; what is said comes from the notebooks, claims.json and machine.json.
"""

from companion.evidence.pages.site import write

__all__ = ["write"]
