"""The long description: README without the pictures and links that only a clone has. The rest is in pyproject.toml."""

import re
from pathlib import Path

from setuptools import setup

readme = Path(__file__).with_name("README.md").read_text("utf-8")
readme = re.sub(r"^!\[[^\]]*\]\((?!\w+:)[^)]*\)\n\n?", "", readme, flags=re.M)
readme = re.sub(r"\[([^\]]*)\]\((?!\w+:)[^)]*\)", r"\1", readme)
setup(long_description=readme, long_description_content_type="text/markdown")
