"""`velocity node`: the hosts of a server. The commands of a node itself do not load the client."""

from __future__ import annotations

import click

from velocity.cli.lazy import LazyGroup

ASKING = ("list", "show", "token", "set", "drain", "maintenance", "activate", "rm")
VERBS = {
    "serve": "velocity.cli.node_serve:serve",
    "join": "velocity.cli.node_join:join",
    **{name: f"velocity.cli.node_verbs:{name}" for name in ASKING},
    "list": "velocity.cli.node_verbs:list_nodes",
    "set": "velocity.cli.node_verbs:set_",
    "confirm-dead": "velocity.cli.node_lost:confirm_dead",
    "fence": "velocity.cli.node_lost:fence",
}


@click.group(cls=LazyGroup, verbs=VERBS, former={"remove": "rm"})
def node() -> None:
    """The hosts of a server. HOST is a name, or an id (`id:2`)."""
