"""Print what production installs, as a CycloneDX bill of materials: `make sbom`."""

from __future__ import annotations

import json
import re
import sys
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PINNED = re.compile(r"([A-Za-z0-9_.\-]+)==([0-9][^\s;]*)")


def main() -> None:
    """Write the bill to standard output."""
    pins = PINNED.findall((ROOT / "requirements.txt").read_text(encoding="utf-8"))
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "name": "calendar-dashboard",
                "version": version[1] if version else "",
            }
        },
        "components": [component(name, pinned) for name, pinned in pins],
    }
    json.dump(bill, sys.stdout, indent=2)
    sys.stdout.write("\n")


def component(name: str, version: str) -> dict[str, Any]:
    """Return one package as it is installed; what is not, or in another version, ends the command."""
    found = distribution(name)
    if found.version != version:
        sys.exit(f"{name} is {found.version} here and {version} in requirements.txt: run `make run` once.")
    normal = re.sub(r"[-_.]+", "-", name).lower()
    purl = f"pkg:pypi/{normal}@{version}"
    return {
        "type": "library",
        "bom-ref": purl,
        "name": normal,
        "version": version,
        "purl": purl,
        "licenses": [{"license": {"name": license_of(found)}}],
    }


def license_of(found: Distribution) -> str:
    """Return the licence as the package names it: newer ones by expression, older ones by classifier."""
    metadata = found.metadata
    classifiers = [one.rpartition(" :: ")[2] for one in metadata.get_all("Classifier") or [] if "License" in one]
    lines = (metadata.get("License") or "").strip().splitlines()
    return metadata.get("License-Expression") or ", ".join(classifiers) or (lines[0] if lines else "unknown")


if __name__ == "__main__":
    main()
