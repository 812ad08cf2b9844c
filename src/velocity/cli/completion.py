"""`velocity completion`, and the answers to the scripts that it prints."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

import click
from click.shell_completion import (
    CompletionItem,
    ShellComplete,
    add_completion_class,
)

ASKS = "_VELOCITY_COMPLETE"
"""The environment variable with which a script asks for completions."""

BASH = r"""%(complete_func)s() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        case $line in
            plain,*) COMPREPLY+=("${line#plain,}") ;;
            dir,*) compopt -o dirnames ;;
            file,*) compopt -o default ;;
        esac
    done < <(COMP_LINE="${COMP_LINE:0:COMP_POINT}" COMP_WORDBREAKS="$COMP_WORDBREAKS" \
        %(complete_var)s=bash_complete "$1" 2>/dev/null)
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""
ZSH = r"""#compdef %(prog_name)s
%(complete_func)s() {
    local kind key help
    local -a words_ helps_
    while IFS= read -r kind && IFS= read -r key && IFS= read -r help; do
        case $kind in
            plain) words_+=("$key"); helps_+=("$key${help:+  -- $help}") ;;
            dir) _path_files -/ ;;
            file) _path_files -f ;;
        esac
    done < <(COMP_LINE="${(j: :)words[1,CURRENT]}" %(complete_var)s=zsh_complete %(prog_name)s 2>/dev/null)
    (( $#words_ )) && compadd -U -V unsorted -d helps_ -a words_
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    compdef %(complete_func)s %(prog_name)s
fi
"""
FISH = r"""function %(complete_func)s
    set -lx COMP_LINE (commandline -cp | string collect)
    for line in (env %(complete_var)s=fish_complete %(prog_name)s 2>/dev/null)
        set -l parts (string split -m1 , -- $line)
        switch $parts[1]
            case plain
                echo $parts[2]
            case dir
                __fish_complete_directories (commandline -ct)
            case file
                __fish_complete_path (commandline -ct)
        end
    end
end
complete --no-files --keep-order --command %(prog_name)s --arguments "(%(complete_func)s)"
"""


@dataclass
class Line:
    """A command line, up to the cursor."""

    words: list[str]
    """The complete words, unquoted."""
    begun: str = ""
    """The word at the cursor, unquoted."""
    quote: str = ""
    """The quote that is open in it."""
    kept: str = ""
    """The part of `begun` that bash treats as separate words, and does not replace."""


def split(line: str, breaks: str = "") -> Line:
    """Split a command line. `breaks`: what ends a word for bash's completion, such as `:`. bash(1), COMP_WORDBREAKS"""
    found = Line([])
    kept, inside, rest = 0, False, iter(line)
    for one in rest:
        if found.quote:
            if one == found.quote:
                found.quote = ""
            elif one == "\\" and found.quote == '"':
                after = next(rest, "")
                found.begun += after if after in '"\\$`' else one + after
            else:
                found.begun += one
        elif one.isspace():
            found = Line([*found.words, found.begun] if inside else found.words)
            kept, inside = 0, False
            continue
        elif one in "'\"":
            found.quote, found.kept = one, found.begun
        elif one == "\\":
            found.begun += next(rest, "")
        else:
            found.begun += one
            kept = len(found.begun) if one in breaks else kept
        inside = True
    if not found.quote:
        found.kept = found.begun[:kept]
    return found


def quoted(text: str, quote: str) -> str:
    """The word for bash, within the open quote or without one."""
    if quote == "'":
        return text.replace("'", "'\\''")
    special = r"([\"\\$`])" if quote else r"([^\w@%+=:,./-])"
    return re.sub(special, r"\\\1", text)


class Complete(ShellComplete):
    """Parses the line itself: shells split words at the `:` of an address, too."""

    line: Line

    def get_completion_args(self) -> tuple[list[str], str]:
        self.line = split(os.environ["COMP_LINE"], os.environ.get("COMP_WORDBREAKS", "") if self.name == "bash" else "")
        return self.line.words[1:], self.line.begun

    def whole(self, item: CompletionItem[str]) -> str:
        """The whole word to complete: click passes only what follows the `=` of an option."""
        option, equals, _ = self.line.begun.partition("=")
        return f"{option}={item.value}" if equals and option.startswith("-") else item.value


class Bash(Complete):
    name = "bash"
    source_template = BASH

    def format_completion(self, item: CompletionItem[str]) -> str:
        word = self.whole(item)
        if item.type == "plain" and not word.startswith(self.line.kept):
            return ""  # bash would append it to the part that it keeps
        return f"{item.type},{quoted(word.removeprefix(self.line.kept), self.line.quote)}"


class Zsh(Complete):
    name = "zsh"
    source_template = ZSH

    def format_completion(self, item: CompletionItem[str]) -> str:
        return f"{item.type}\n{self.whole(item)}\n{item.help or ''}"


class Fish(Complete):
    name = "fish"
    source_template = FISH

    def format_completion(self, item: CompletionItem[str]) -> str:
        return f"{item.type},{self.whole(item)}" + (f"\t{item.help}" if item.help else "")


SHELLS: dict[str, type[Complete]] = {"bash": Bash, "zsh": Zsh, "fish": Fish}
for _one in SHELLS.values():
    add_completion_class(_one)


@click.command()
@click.argument("shell", type=click.Choice(list(SHELLS)))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script for SHELL.

    \b
    bash:  eval "$(velocity completion bash)"      in ~/.bashrc
    zsh:   eval "$(velocity completion zsh)"       in ~/.zshrc
    fish:  velocity completion fish | source       in ~/.config/fish/config.fish
    """
    click.echo(SHELLS[shell](context.find_root().command, {}, "velocity", ASKS).source())
