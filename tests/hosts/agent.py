"""A fence agent of the test's own: what it does is in its option `plug`, and what it was asked in a file beside it."""

from __future__ import annotations

from pathlib import Path

NAME = "fence_test"
SCRIPT = """#!/bin/sh
here=$(dirname "$0")
echo "$#" >> "$here/arguments"
while IFS= read -r line; do
    echo "$line" >> "$here/asked"
    case "$line" in
        action=*) action=${line#action=} ;;
        plug=*) plug=${line#plug=} ;;
        password=*) password=${line#password=} ;;
    esac
done
case "$plug $action" in
    "works off" | "slow off") touch "$here/off"; exit 0 ;;
    "slow status") [ -e "$here/looked" ] && exit 2; touch "$here/looked"; exit 0 ;;
    "works status") [ -e "$here/off" ] && exit 2; exit 0 ;;
    "fails off") printf 'Failed: \\033[31mno login with %s\\n' "$password" >&2; exit 1 ;;
    "hangs off") echo $$ > "$here/hanging"; sleep 1000; exit 0 ;;
    "lies off" | "lies status") exit 0 ;;
    "mute off") exit 0 ;;
    "leaves off") setsid sleep 5 & echo gone > "$here/off"; yes long words | head -n 100000 >&2; exit 0 ;;
    "leaves status") [ -e "$here/off" ] && exit 2; exit 0 ;;
esac
exit 1
"""


def install(directory: Path, name: str = NAME) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    program = directory / name
    program.write_text(SCRIPT)
    program.chmod(0o755)
    return program


def asked(directory: Path) -> list[str]:
    file = directory / "asked"
    return file.read_text().splitlines() if file.exists() else []
