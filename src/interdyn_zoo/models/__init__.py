"""Networks; a new file here with a factory under ``@model("name")`` adds one."""
