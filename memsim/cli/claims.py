"""``memsim claims``: what the book vouches for, and whether it is true."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.cli.commands import NOT_OK, OK
from memsim.cli.terminal import add_json, show_json
from memsim.errors import MemsimError
from memsim.lesson.chapters import chapters, find_book, listed_claims, run_chapter

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from memsim.cli.commands import Commands
    from memsim.lesson.chapters import ListedClaim


def add_to(commands: Commands) -> None:
    """Add ``claims``."""
    claims = commands.add_parser(
        "claims",
        description="List what the chapters vouch for: chapter, id, sentence and source. With --run the "
        "chapters are run and every claim is checked; exit status 1 if one fails.",
    )
    claims.add_argument(
        "book", nargs="?", metavar="BOOK", help="folder of notebooks; default: book, here or beside memsim"
    )
    claims.add_argument("--run", action="store_true", help="check the claims, too")
    add_json(claims)
    claims.set_defaults(command=command_claims)


def command_claims(arguments: argparse.Namespace) -> int:
    """``memsim claims``."""
    found = {path: listed_claims(path) for path in chapters(find_book(arguments.book))}
    if arguments.json:
        return json_claims(found, check=arguments.run)
    failed = 0
    for path, claims in found.items():
        if not claims:
            continue
        print(f"{path.stem}:")
        for claim in claims:
            print(f"  {claim.id}: {claim.sentence}\n    Source: {claim.source}")
        if arguments.run:
            failed += not print_check(path)
    total, places = sum(map(len, found.values())), sum(map(bool, found.values()))
    print(f"{total} claims in {places} chapters{f', {failed} chapters failed' if arguments.run else ''}")
    return NOT_OK if failed else OK


def json_claims(found: dict[Path, list[ListedClaim]], *, check: bool) -> int:
    """Print the claims as JSON, with ``check`` also what running each chapter found."""
    document, failed = [], 0
    for path, claims in found.items():
        listed = [{"id": each.id, "sentence": each.sentence, "source": each.source} for each in claims]
        chapter: dict[str, object] = {"chapter": path.stem, "claims": listed}
        if check and claims:
            try:
                chapter["checked"] = len(run_chapter(path)[0])
            except MemsimError as problem:
                chapter["failed"], failed = str(problem), failed + 1
        document.append(chapter)
    show_json({"chapters": document, "failed": failed} if check else {"chapters": document})
    return NOT_OK if failed else OK


def print_check(path: Path) -> bool:
    """Run a chapter and print how many claims it checked, or what failed; returns whether all is well."""
    try:
        made, _ = run_chapter(path)
    except MemsimError as problem:
        print(f"  FAILED {problem}")
        return False
    print(f"  {len(made)} checked")
    return True
