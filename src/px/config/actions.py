"""The table of all actions: what Px does instead of serving clients."""

from __future__ import annotations

from typing import Final

from px.config.option import Action

_SHELLS: Final = ("sh", "bash", "zsh", "fish", "powershell", "cmd", "wsl")
_TOOLS: Final = ("git", "npm", "pip", "conda", "apt", "wget", "maven", "gradle", "vscode")
_CONTAINERS: Final = ("docker", "container")

ACTIONS: Final = (
    Action(
        "setup",
        "Find the proxy, log in, save what works to px.ini, and start Px, now and at each login. Before Px "
        "saves, it sends one GET and one CONNECT as --test does; the URL is that of --test. Px asks at most "
        "for the proxy, for the user with the password, and whether to start: not for what it finds or the "
        "options say. It keeps the password in the keyring. If something fails, Px says why and what to do, "
        "saves nothing, and the exit code is 4; at most one login fails. The px.ini is the one in use, or "
        "the one of --config, or a new one of this user. --yes asks nothing: the password then comes from "
        "PX_PASSWORD or the keyring.",
        metavar="URL",
        switches=("yes",),
        starts_px=True,
        makes_file=True,
    ),
    Action(
        "save",
        "Save the options given with this action to px.ini: to the file of --config, else to the px.ini in "
        "use, else to a new one in the working directory. Other values and comments in the file stay. "
        "Options that have no value yet are written with their defaults. Secrets are never written.",
        reads="files",
    ),
    Action(
        "import",
        "Take over the settings of another program: a cntlm.conf, a px.ini of the original Px, settings of "
        "winfoom, a script that starts alpaca. Px finds out by itself which of them a file is. --import=env "
        "takes the variables of the environment (http_proxy, https_proxy, all_proxy, no_proxy). Px writes "
        "the settings to px.ini as --save does, and says why it cannot take a setting over, and what to do. "
        "Passwords are not written. Options given with this action come first.",
        metavar="FILE",
        needs_value=True,
        is_path=True,
        reads="files",
    ),
    Action(
        "install",
        "Start Px now and each time you log in, with the px.ini now in use: by the Run key of the registry "
        "on Windows, a systemd user unit on Linux, a launch agent on macOS. Other options given with this "
        "action are not saved: use --save for them. --force replaces an entry that starts another Px.",
        switches=("force",),
    ),
    Action("uninstall", "Undo --install: Px no longer starts when you log in.", reads="nothing"),
    Action(
        "env",
        "Print the settings that make programs use the running Px. KIND is a shell (sh, bash, zsh, fish, "
        "powershell, cmd; the default is powershell on Windows and sh elsewhere), a tool (git, npm, pip, "
        "conda, apt, wget, maven, gradle, vscode, docker), container (the environment of containers) or wsl "
        "(a shell in WSL 2). A comment in the output says how to apply the settings. KIND:undo prints how to "
        "undo them, as in --env=git:undo; undo alone is for the shell. If no Px runs on this port but one "
        "runs on another port, the settings are for that one.",
        metavar="KIND",
        choices=_SHELLS + _TOOLS + _CONTAINERS,
        modifier="undo",
    ),
    Action(
        "run",
        "Run a program that uses Px: the rest of the command line, after --. The program gets the variables "
        "that --env prints. If no Px runs, or if options are given before --, Px starts one for this program "
        "alone, on a free port; it ends with the program. Px passes signals on to the program and ends with "
        "the exit code of the program, or with 127 if there is no such program, 126 if it cannot be run. "
        "Messages and logs of Px go to stderr.",
        takes_program=True,
    ),
    Action(
        "quit",
        "Stop the Px on this port and wait until it has ended. Requests under way get a few seconds to "
        "finish.",
        reads="port",
    ),
    Action(
        "restart",
        "Stop the Px on this port, if one runs, and start Px with the options given now. Without options "
        "other than --port, Px starts with the options that the old one had.",
        starts_px=True,
    ),
    Action(
        "reload",
        "Make the Px on this port read its configuration again: px.ini and .env as they are now, the "
        "environment and the command line as they were when Px started. Connections and tunnels stay open. "
        "The signal HUP does the same.",
        reads="port",
    ),
    Action(
        "status",
        "Show the state of the Px on this port: its processes, upstreams, logins and connections. --json "
        "prints the state as JSON, for programs.",
        reads="port",
        switches=("json",),
    ),
    Action(
        "top",
        "Show the state of the Px on this port live in the terminal: traffic, upstreams, logins, recent "
        "problems, requests and tunnels, all new every two seconds. q ends this, and so does Ctrl-C. If the "
        "output goes to no terminal, Px prints the state every two seconds.",
        reads="port",
    ),
    Action(
        "explain",
        "Show which route a request for this URL would take, and why: the addresses of the host, the rule "
        "of --noproxy that matches, which setting or PAC script names the upstreams, and whether they can "
        "be reached. Makes no login: --test does.",
        metavar="URL",
        needs_value=True,
    ),
    Action(
        "test",
        "Test the way of requests with a login: send one GET and one CONNECT through the running Px, or "
        "through a new one with the options given now, and show the answers, the upstream, and who logged in "
        "there by which scheme. The URL names the site to ask for; the default is http://www.example.com/. "
        "If a request fails, Px says why and what to do, and the exit code is 4. A new Px makes only one "
        "login that fails.",
        metavar="URL",
    ),
    Action(
        "doctor",
        "Find out why Px does not work: follow a request from a program of this shell to the site and check "
        "each step: configuration, port, proxy variables, PAC script, name, connection, TLS, offered logins, "
        "clock, ticket, login, one GET and one CONNECT. Shows a verdict for each step, and what to do. The "
        "URL is that of --test, and so is the exit code. At most one login fails, except through a Px that "
        "runs. --report also writes the result and the settings to a file for a help desk, without secrets.",
        metavar="URL",
        switches=("report",),
        starts_px=True,
        explains_fault=True,
    ),
    Action(
        "demo",
        "Show a login step by step: start Px and a proxy that requires NTLM in one process, send a request "
        "through both and explain each message. Needs no network and ends by itself.",
        reads="flags",
    ),
    Action(
        "password",
        "Ask for the password of --username and store it in the system's keyring: Credential Manager, "
        "Keychain or Secret Service. An empty password removes the stored one. If standard input is not a "
        "terminal, Px reads the password from its first line.",
        asks_for_secret=True,
    ),
    Action(
        "client_password",
        "Ask for the password of --client_username and store it in the keyring, as --password does. Clients "
        "log in at Px with this password.",
        asks_for_secret=True,
    ),
    Action(
        "hash",
        "Ask for a password and print its NT hash, for PX_NTHASH.",
        reads="nothing",
        asks_for_secret=True,
    ),
    Action(
        "completions",
        "Print the script that makes a shell complete the options of Px and their values: for bash, zsh, "
        "fish or powershell. A comment at the start of the script says where to keep it.",
        reads="nothing",
        metavar="SHELL",
        choices=("bash", "zsh", "fish", "powershell"),
        needs_value=True,
    ),
    Action("version", "Print the version.", ("V",), reads="nothing"),
    Action(
        "help",
        "Print an overview. With the name of an option, action or group: explain it. With another word: "
        "explain each option and action whose text has that word. With all: explain everything.",
        ("h",),
        reads="nothing",
        metavar="NAME",
    ),
)
