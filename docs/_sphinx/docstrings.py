"""From this project's docstrings, which are plain text with aligned equations, to reStructuredText for Sphinx.

A docstring is cut into blocks at its empty lines, and each block becomes what it looks like:

    >>> 1 + 1            an example: highlighted
        y = x W + b      indented: as it stands, line breaks and alignment kept
    Forward:  y = x W    sections: a row each; equations as they stand, sentences as sentences
    x  -- (N, C)         names: a row each
    anything else        a paragraph, in which `name` links to the object of that name, where there is just one
"""

import re
import textwrap
from collections import defaultdict

SECTION = re.compile(r"([A-Z][A-Za-z ,]{1,24}):(?: +|$)")
NAMES = re.compile(r"(\S.*?) +-- ")
EQUATIONS = {"Forward", "Backward", "Fit"}
LINKED = {"class", "exception", "function", "module"}
INLINE = re.compile(r"`([^`]+)`")
INDEX = {}


def escape(text):
    r"""The text without any markup: \ before every character that reStructuredText could take for some."""
    return re.sub(r"([\\*_|`<>:])", r"\\\1", text)


def prose(lines):
    """One line: what stands in backticks as code that may link, the rest as text."""
    parts = INLINE.split(" ".join(line.strip() for line in lines))
    for i, part in enumerate(parts):
        if i % 2 == 0:
            parts[i] = escape(part)
        elif re.fullmatch(r"[A-Za-z_][\w.]*", part):
            parts[i] = f"\\ :py:obj:`{part}`\\ "
        else:
            parts[i] = f"\\ ``{part}``\\ "
    text = "".join(parts)
    return ["\\" + text if re.match(r"(\w+[.)]|\(\w+\)|[-+•]) ", text) else text]  # no list was meant


def literal(lines):
    """The lines as they stand."""
    return ["::", "", *textwrap.indent(textwrap.dedent("\n".join(lines)), "   ").split("\n")]


def indented(lines):
    """The lines, further in."""
    return ["   " + line if line else "" for line in lines]


def entries(lines, head):
    """Each line that begins with `head`, and those below it that are further in: (its name, the text's lines)."""
    found = []
    for line in lines:
        match = head.match(line)
        if match:
            found.append((match[1], [" " * match.end() + line[match.end() :]]))
        elif found and line.startswith(" "):
            found[-1][1].append(line)
        else:
            return None
    return found


def rows(found, code):
    """A field list of (name, lines) in a container, which keeps Sphinx from reading fields of its own out of it."""
    out = [".. container:: sections", ""]
    for name, lines in found:
        aligned = any(re.search(r"\S {2,}\S", line) for line in lines)
        equations = not EQUATIONS.isdisjoint(name.split(", "))
        body = literal(lines) if not code and (equations or aligned) else prose(lines)
        out += [f"   :{f'``{name}``' if code else escape(name)}:", *indented(indented(body)), ""]
    return out


def block(lines):
    """The reStructuredText of one block."""
    if lines[0].lstrip().startswith(">>>"):
        return [".. code-block:: pycon", "", *indented(textwrap.dedent("\n".join(lines)).split("\n"))]
    if all(line.startswith(" ") for line in lines):
        return literal(lines)
    for head, code in ((SECTION, False), (NAMES, True)):
        found = entries(lines, head)
        if found:
            return rows(found, code)
    return literal(lines) if any(line.startswith(" ") for line in lines) else prose(lines)


def blocks(lines):
    """Runs of lines without an empty one; one ends where an example begins, too."""
    run = []
    for line in lines:
        begins = line.lstrip().startswith(">>>") and run and not run[0].lstrip().startswith(">>>")
        if run and (not line.strip() or begins):
            yield run
            run = []
        if line.strip():
            run.append(line.rstrip())
    if run:
        yield run


def convert(lines):
    """The docstring's lines, as reStructuredText; its first block is the summary, a paragraph even with a colon in it."""
    summary, *rest = blocks(lines)
    return [*prose(summary), "", *(line for run in rest for line in (*block(run), ""))]


def process(app, what, name, obj, options, lines):
    """AutoAPI's docstring of one object, converted in place."""
    lines[:] = convert(lines)


def link(app, env, node, content):
    """`name`, where Python's scopes do not find it: the one object of the project whose name ends so; else no link."""
    from sphinx.util.nodes import make_refnode  # here, so that `convert` can be tested where there is no Sphinx

    target = node.get("reftarget", "")
    if node.get("refdomain") != "py" or re.fullmatch(r"[a-z]+", target):  # one small word may well be an argument
        return None
    found = [entry for entry in by_last_name(env)[target.rpartition(".")[2]] if f".{entry[0]}".endswith(f".{target}")]
    if len(found) != 1:
        return None
    name, entry = found[0]
    return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, content, name)


def by_last_name(env):
    """The objects that a name may link to, by the last part of their names; (name, entry) each."""
    objects = env.domains["py"].objects
    if len(objects) not in INDEX:
        INDEX.clear()
        INDEX[len(objects)] = index = defaultdict(list)
        for name, entry in objects.items():
            if entry.objtype in LINKED and not entry.aliased:
                index[name.rpartition(".")[2]].append((name, entry))
    return INDEX[len(objects)]


def setup(app):
    """What Sphinx calls."""
    app.connect("autodoc-process-docstring", process)
    app.connect("missing-reference", link)
    return {"parallel_read_safe": True, "version": "1"}
