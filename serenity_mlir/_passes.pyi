# Made by cmake/write_stubs.py; do not edit.
"""MLIR passes of serenity_mlir; use serenity_mlir.passes."""

def add_pass(pass_manager: object, name: str, options: str) -> None: ...
