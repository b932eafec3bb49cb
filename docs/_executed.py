"""The directive ``.. executed::``: Python that runs when the pages are built, with what it prints.

The blocks of a page share one namespace. Warnings are shown as they are worded. With ``:raises:``
the block must end in that error, whose message is shown; any other error stops the build. Code
runs as ``model.py``, so a message that names a line names one that the reader sees.
"""

import contextlib
import io
import traceback
import warnings

from docutils import nodes
from docutils.parsers.rst.directives import unchanged_required
from sphinx.util.docutils import SphinxDirective


def run(source, namespace):
    """What the source prints and warns, and the error in which it ends, if any."""
    printed, error = io.StringIO(), None
    with contextlib.redirect_stdout(printed), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        try:
            exec(compile(source, "model.py", "exec"), namespace)
        except Exception as raised:  # the directive compares it with what the page announces
            error = raised
    lines = [f"{type(w.message).__name__}: {w.message}" for w in caught]
    lines += printed.getvalue().splitlines()
    return lines, error


class Executed(SphinxDirective):
    has_content = True
    option_spec = {"raises": unchanged_required}

    def run(self):
        source = "\n".join(self.content)
        namespaces = self.env.temp_data.setdefault("executed", {"__name__": "__main__"})
        lines, error = run(source, namespaces)
        expected = self.options.get("raises")
        if (type(error).__name__ if error else None) != expected:
            ended = "".join(traceback.format_exception(error)) if error else "no error\n"
            raise self.error(f"expected {expected or 'no error'}, got {ended}")
        if error:
            lines.append(f"{expected}: {error}")
        shown = [nodes.literal_block(source, source, language="python")]
        if lines:
            out = "\n".join(lines)
            shown.append(nodes.literal_block(out, out, language="text", classes=["output"]))
        return shown


def setup(app):
    app.add_directive("executed", Executed)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
