"""The blocks of code in a Markdown page: fenced and indented ones, and why one is not run."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^ {0,3}(```+|~~~+)\s*(\w*).*$")
NOT_RUN = re.compile(r"<!-- not run: (.+) -->")
A_FILE = re.compile(r"`([\w.-]+\.\w+)`:$")  # at the end of the paragraph before: the block is that file
SHELL = ("", "sh", "bash", "shell", "console")


@dataclass(frozen=True)
class Block:
    """A block of code; of indented ones the language is empty, which stands for a shell's."""

    line: int  # of its first line of code
    language: str
    text: str
    reason: str | None = None  # why it is not run
    file: str | None = None  # the file whose content it is

    def commands(self) -> Iterator[tuple[int, str]]:
        """The lines of a shell's block with their numbers, without comments; those that end in a backslash are one."""
        text = re.sub(r"\\\n *", " ", self.text)
        for number, line in enumerate(text.splitlines(), self.line):
            if line.strip() and not line.lstrip().startswith("#"):
                yield number, re.split(r"\s+# ", line.strip())[0]


def blocks_of(page: Path) -> list[Block]:
    """All blocks of a page, in order."""
    lines, found, before, number = page.read_text("utf-8").splitlines(), [], "", 0
    while number < len(lines):
        line, start = lines[number], number
        if fence := FENCE.match(line):
            number += 1
            while number < len(lines) and not lines[number].lstrip().startswith(fence[1]):
                number += 1
            inner, number, first = lines[start + 1 : number], number + 1, start + 2
        elif line.startswith("    ") and not lines[number - 1].strip():
            while number < len(lines) and (lines[number].startswith("    ") or not lines[number].strip()):
                number += 1
            inner, first = [text[4:] for text in lines[start:number]], start + 1
        else:
            before, number = line.strip() or before, number + 1
            continue
        reason, file = NOT_RUN.fullmatch(before), A_FILE.search(before)
        text = "\n".join(inner).strip("\n") + "\n"
        found.append(Block(first, fence[2] if fence else "", text, reason and reason[1], file and file[1]))
        before = ""
    return found
