"""The completion script for PowerShell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from px.cli.completion.flags import Flag

_SCRIPT: Final = r"""# Completions of px for PowerShell. For every new shell, add this line to $PROFILE:
#   px --completions=powershell | Out-String | Invoke-Expression
# Windows PowerShell 5.1 asks for them only from the first letter on: px --s, then the Tab key.

Register-ArgumentCompleter -Native -CommandName px -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $flags = @(
@FLAGS@
    )

    $before = @($commandAst.CommandElements |
        Where-Object { $_.Extent.EndOffset -lt $cursorPosition } |
        Select-Object -Skip 1 | ForEach-Object { $_.Extent.Text })
    if ($before -contains '--') { return }

    # - and _ are the same, and so are A and a.
    function Test-Typed($text, $typed) {
        ($text -replace '_', '-').StartsWith(($typed -replace '_', '-'), 'OrdinalIgnoreCase')
    }

    # The value of a flag: behind = or, if the flag needs a value, in the next word.
    $name, $value = $wordToComplete -split '=', 2
    $given = "$name="
    if ($null -eq $value) {
        $name = $before | Select-Object -Last 1
        $value = $wordToComplete
        $given = ''
    }
    $flag = $flags | Where-Object { $name -and ($_.Flag -replace '_', '-') -eq ($name -replace '_', '-') } |
        Select-Object -First 1
    if ($flag -and ($given -or ($flag.NeedsValue -and -not $value.StartsWith('-')))) {
        if ($flag.IsPath) {
            [System.Management.Automation.CompletionCompleters]::CompleteFilename($value) | ForEach-Object {
                [System.Management.Automation.CompletionResult]::new(
                    $given + $_.CompletionText, $_.ListItemText, $_.ResultType, $_.ToolTip)
            }
        }
        $flag.Choices | Where-Object { Test-Typed $_ $value } | ForEach-Object {
            [System.Management.Automation.CompletionResult]::new(
                $given + $_, $_, 'ParameterValue', $flag.Help)
        }
        return
    }

    $names = @($before | ForEach-Object { ($_ -split '=', 2)[0] -replace '_', '-' })
    $action = $flags | Where-Object { $_.IsAction -and $names -contains $_.Flag }
    $flags | Where-Object {
        (Test-Typed $_.Flag $wordToComplete) -and -not ($_.IsAction -and $action) -and
            (-not $_.Owner -or $names -contains $_.Owner)
    } | ForEach-Object {
        $equals = if ($_.NeedsValue) { '=' } else { '' }
        [System.Management.Automation.CompletionResult]::new(
            $_.Flag + $equals, $_.Flag, 'ParameterName', $_.Help)
    }
}
"""


def format_powershell(flags: Sequence[Flag]) -> str:
    """Return the script."""
    return _SCRIPT.replace("@FLAGS@", "\n".join(map(_format_flag, flags)))


def _format_flag(flag: Flag) -> str:
    fields = {
        "Flag": _quote(flag.text),
        "Help": _quote(flag.summary),
        "NeedsValue": _format_truth(is_true=flag.is_value_needed),
        "IsPath": _format_truth(is_true=flag.is_path),
        "IsAction": _format_truth(is_true=flag.is_action),
        "Owner": _quote(flag.owner),
        "Choices": f"@({', '.join(map(_quote, flag.values))})",
    }
    return f"        @{{ {'; '.join(f'{name} = {text}' for name, text in fields.items())} }}"


def _format_truth(*, is_true: bool) -> str:
    return "$true" if is_true else "$false"


def _quote(text: str) -> str:
    escaped = text.replace("'", "''")
    return f"'{escaped}'"
