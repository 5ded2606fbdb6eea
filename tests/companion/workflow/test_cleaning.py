"""An executed notebook holds the same bytes whenever it ran, or is refused."""

import nbformat
import pytest

from companion.workflow import cleaning


def stream(name: str, text: str) -> nbformat.NotebookNode:
    return nbformat.v4.new_output("stream", name=name, text=text)


def notebook_with(*outputs: nbformat.NotebookNode) -> nbformat.NotebookNode:
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("f()", outputs=list(outputs))])


def test_clean_joins_streams_and_drops_progress_bars() -> None:
    outputs = (
        stream("stdout", "a"),
        stream("stdout", "b\n"),
        stream("stderr", "\r 10 %"),
        stream("stderr", "\r100 %\n\r     \rwarning: w"),
        stream("stderr", "hat\nfor the terminal\r\n"),
        stream("stdout", "c"),
        stream("stderr", "\r50 %\r      \r   "),
        stream("stdout", "c"),
    )
    [cell] = cleaning.clean(notebook_with(*outputs)).cells
    assert [(output.name, output.text) for output in cell.outputs] == [
        ("stdout", "ab\n"),
        ("stderr", "warning: what\n"),
        ("stdout", "cc"),
    ]
    [cell] = cleaning.clean(notebook_with(stream("stderr", "\r1/2\r2/2\n"))).cells
    assert cell.outputs == []


@pytest.mark.parametrize(
    "output",
    [
        stream("stdout", "<object object at 0x7f3a5c0b1d90>"),
        stream("stderr", "/x/ipykernel_123/45.py:1: UserWarning"),
        nbformat.v4.new_output("execute_result", {"text/plain": "<f at 0x7f3a5c0b1d90>"}),
    ],
)
def test_clean_refuses_what_differs_from_run_to_run(output: nbformat.NotebookNode) -> None:
    with pytest.raises(ValueError, match=r"cell 1 prints .* differs from run to run"):
        cleaning.clean(notebook_with(output))
