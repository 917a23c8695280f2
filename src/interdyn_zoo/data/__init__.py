"""Data; a new file here with a factory under ``@dataset("name")`` adds one."""
