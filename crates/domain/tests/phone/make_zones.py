#!/usr/bin/env python3
"""Writes src/phone/zones.txt: which time zones a phone number's prefix has, from libphonenumber's data.

Run, from this directory, with the same package version for the same bytes:

    python3 -m venv phones-venv && phones-venv/bin/pip install phonenumbers==9.0.43
    phones-venv/bin/python make_zones.py > ../../src/phone/zones.txt
"""
import phonenumbers
from phonenumbers.tzdata import TIMEZONE_DATA


def main():
    """Leaves out what the next shorter prefix says already; one line for all prefixes with the same zones."""
    kept = {}
    for prefix in sorted(TIMEZONE_DATA, key=lambda p: (len(p), p)):
        zones = TIMEZONE_DATA[prefix]
        shorter = next((prefix[:n] for n in range(len(prefix) - 1, 0, -1) if prefix[:n] in kept), None)
        if shorter is None or kept[shorter] != zones:
            kept[prefix] = zones
    lines = {}
    for prefix in sorted(kept):
        lines.setdefault("|".join(kept[prefix]), []).append(prefix)
    print("# Time zones by prefix of a phone number (E.164 digits): zone|zone TAB prefix prefix...")
    print("# Source: Google's libphonenumber, metadata/timezones, through the Python package phonenumbers", phonenumbers.__version__)
    print("# Licence: Apache License 2.0, Copyright The Libphonenumber Authors. Made by tests/phone/make_zones.py.")
    for zones, prefixes in sorted(lines.items()):
        print(zones, " ".join(prefixes), sep="\t")


if __name__ == "__main__":
    main()
