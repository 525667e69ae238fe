"""The one table of actions: what Px does instead of serving, or before."""

from __future__ import annotations

from typing import Final

from px.option import Action

ACTIONS: Final = (
    Action(
        "save",
        "Write the flags given with it to px.ini: to the file of --config, else to the px.ini in use, else "
        "to a new one in the working directory. What the file says already stays, comments too; what "
        "neither says gets its default. No secret is written.",
        reads="files",
    ),
    Action(
        "install",
        "Start Px when you log in, with the px.ini now in use: by the Run key of the registry on Windows, a "
        "systemd user unit on Linux, a launch agent on macOS. Other flags given with it are not saved: see "
        "--save. --force: replace what starts another Px.",
        switches=("force",),
    ),
    Action("uninstall", "Take --install back.", reads="nothing"),
    Action(
        "env",
        "Print what points programs at this Px: for a shell the environment variables, for a tool its own "
        "settings. Tools are sh, fish, powershell, cmd, git, npm, pip, docker; without one it is sh, on "
        "Windows powershell. The last line says how to use it.",
        metavar="TOOL",
        choices=("sh", "fish", "powershell", "cmd", "git", "npm", "pip", "docker"),
    ),
    Action(
        "quit",
        "End the Px that runs on this port, and wait until it has ended. Requests under way may end before.",
        reads="port",
    ),
    Action(
        "restart",
        "End the Px that runs on this port, if there is one, and start it with the options given now.",
        starts_px=True,
    ),
    Action(
        "reload",
        "Have the Px that runs on this port read its configuration again: px.ini and .env as they are now, "
        "environment and command line as they were. Connections and tunnels go on. Signal HUP does the same.",
        reads="port",
    ),
    Action(
        "status",
        "Show what the Px that runs on this port does: its processes, upstreams, logins, connections. With "
        "--json: for programs.",
        reads="port",
        switches=("json",),
    ),
    Action(
        "explain",
        "Show which way a request for a URL would take, and why: addresses, the rule of noproxy, what "
        "names the upstreams and what it says of this URL, whether they can be reached.",
        metavar="URL",
        needs_value=True,
    ),
    Action(
        "demo",
        "Show how a login happens: start Px and an NTLM-protected upstream in one process, send a request "
        "through both and explain each step. Needs no network and ends by itself.",
        reads="flags",
    ),
    Action(
        "password",
        "Ask for the password of --username and store it in the system's keyring: Credential Manager, "
        "Keychain or Secret Service. An empty one removes it. Where stdin is no terminal, its first line is "
        "the password.",
        asks_for_secret=True,
    ),
    Action(
        "client_password",
        "Ask for the password of --client_username, with which clients log in at Px, and store it likewise.",
        asks_for_secret=True,
    ),
    Action(
        "hash",
        "Ask for a password and print its NT hash, for PX_NTHASH.",
        reads="nothing",
        asks_for_secret=True,
    ),
    Action("version", "Print the version.", reads="nothing"),
    Action(
        "help",
        "Print an overview. With the name of an option or action print all about it, with another word all "
        "that speaks of it, with all everything.",
        ("h",),
        reads="nothing",
        metavar="NAME",
    ),
)
