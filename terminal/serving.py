"""`rampart gateway`: everything over HTTP."""

from typing import Annotated

import typer

from terminal.console import Usage


def gateway(
    *,
    host: Annotated[str, typer.Option(help="Where to listen; 0.0.0.0 is everywhere.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="Where it listens.", min=1, max=65535)] = 8080,
    workers: Annotated[int, typer.Option(help="Processes that share the port.", min=1)] = 1,
    origin: Annotated[
        list[str] | None,
        typer.Option(help="Of web pages whose scripts may ask; may be repeated."),
    ] = None,
    codec: Annotated[
        bool,
        typer.Option("--codec", help="Open sealed payloads for Temporal's UI and CLI, at /codec."),
    ] = False,
    open_: Annotated[
        bool, typer.Option("--open", help="Ask nobody for a token.", hidden=True)
    ] = False,
    demo: Annotated[
        str, typer.Option(help="A file by which the demo is switched.", hidden=True)
    ] = "",
) -> None:
    """Serve evaluation, events and the operator's verbs over HTTP; as many as you like."""
    from gateway.rebinding import LOOPBACK
    from serve import Options, serve
    from settings import Settings

    if open_ and host not in LOOPBACK:
        raise Usage(f"--open lets everybody in: it listens at 127.0.0.1 alone, got --host {host}")
    options = Options(
        host=host,
        port=port,
        workers=workers,
        open=open_,
        origins=tuple(origin or ()),
        codec=codec,
        demo=demo,
    )
    serve(Settings.from_env(), options)
