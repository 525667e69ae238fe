"""The documents: their links lead somewhere, the files that they name exist, and README.md is short."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.markdown import ROOT, find_anchors, find_broken_links, find_documents, find_links

MAX_README_WORDS = 900


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


every_document = pytest.mark.parametrize("document", find_documents(), ids=name)


@every_document
def test_links_lead_to_files_and_headings(document):
    assert list(find_broken_links(document)) == []


@every_document
def test_the_files_and_directories_that_a_document_names_exist(document):
    if document.name == "CHANGELOG.md":
        pytest.skip("it tells of files as they were")
    text = document.read_text(encoding="utf-8")
    named = set(re.findall(r"(?<![\w/.{-])((?:src|tests|scripts|bench|packaging)/[\w/.-]*\w)", text))
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_every_document_is_reached_from_the_readme():
    readme = ROOT / "README.md"
    seen, todo = set(), [readme]
    while todo:
        document = todo.pop()
        if document in seen:
            continue
        seen.add(document)
        for link in find_links(document.read_text(encoding="utf-8")):
            target = (document.parent / link.partition("#")[0]).resolve()
            if target.suffix == ".md" and target.exists():
                todo.append(target)
    assert set(find_documents()) - seen == set()


def test_the_readme_is_short_and_begins_with_the_demo_and_the_tests():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.split()) <= MAX_README_WORDS
    commands = [
        line for block in re.findall(r"```\w*\n(.*?)```", text, re.DOTALL) for line in block.split("\n")
    ]
    assert commands[0] == "make demo"
    assert next(line for line in commands[1:] if line) == "make test"


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("[a](b.md) and [c](d.md#e)", ["b.md", "d.md#e"]),
        ("![picture of [x]](x.svg)", ["x.svg"]),
        ("`[a](b)` and\n```\n[c](d)\n```\n[e](f)", ["f"]),
        ("[two\nlines](g.md)", ["g.md"]),
    ],
    ids=["links", "picture", "code", "two lines"],
)
def test_links_are_found_except_in_code(text, links):
    assert find_links(text) == links


def test_anchors_are_named_as_github_names_them():
    text = "# How Px's `--env` works\n## A, b: c\n## A, b: c\n```\n# no heading\n```\n### px.ini\n"
    assert find_anchors(text) == {"how-pxs---env-works", "a-b-c", "a-b-c-1", "pxini"}


def test_broken_links_are_found(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "b.md").write_text("# There\n", encoding="utf-8")
    document = tmp_path / "a.md"
    links = [
        "docs/b.md",
        "docs/b.md#there",
        "#here",
        "https://www.example/x",
        "docs/c.md",
        "docs/b.md#no",
        "../x",
    ]
    document.write_text("# Here\n" + "".join(f"[x]({link})\n" for link in links), encoding="utf-8")
    assert list(find_broken_links(document, tmp_path)) == ["docs/c.md", "docs/b.md#no", "../x"]
