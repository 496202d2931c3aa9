#!/usr/bin/env python3
"""Writes corpus.tsv: phone numbers as people write them, with what Google's libphonenumber makes of them.

The answers come from the Python package `phonenumbers`, a port that carries Google's metadata unchanged.
Run, from this directory, with the same package version for the same bytes:

    python3 -m venv phones-venv && phones-venv/bin/pip install phonenumbers==9.0.43
    phones-venv/bin/python make_corpus.py > corpus.tsv

One line is: text, default country ("-": none), E.164 digits ("-": not valid), region, kind of line.
"""
import random
import sys

import phonenumbers as pn
from phonenumbers import PhoneNumberFormat as F
from phonenumbers import PhoneNumberType as T

KINDS = {
    T.FIXED_LINE: "landline", T.MOBILE: "mobile", T.FIXED_LINE_OR_MOBILE: "fixed_or_mobile", T.TOLL_FREE: "toll_free",
    T.PREMIUM_RATE: "premium", T.SHARED_COST: "shared_cost", T.VOIP: "voip", T.PAGER: "pager",
    T.PERSONAL_NUMBER: "other", T.UAN: "other", T.VOICEMAIL: "other",
}
FULL_WIDTH = {ord(str(d)): 0xFF10 + d for d in range(10)}
ARABIC = {ord(str(d)): 0x0660 + d for d in range(10)}
DEVANAGARI = {ord(str(d)): 0x0966 + d for d in range(10)}
chance = random.Random(20240229)
seen = set()


def emit(text, default):
    """Prints one line, unless it was printed before or can't stand in a line."""
    if not text or (text, default) in seen or any(c in text for c in "\t\r\n"):
        return
    seen.add((text, default))
    try:
        number = pn.parse(text, default)
        valid = pn.is_valid_number(number)
    except pn.NumberParseException:
        valid = False
    if valid:
        answer = (pn.format_number(number, F.E164)[1:], pn.region_code_for_number(number), KINDS[pn.number_type(number)])
    else:
        answer = ("-", "-", "-")
    print(text, default or "-", *answer, sep="\t")


def separated(digits):
    """The digits in groups of two to four, with a separator that people use."""
    mark, out, at = chance.choice([" ", "-", ".", "  ", " - ", "\u00a0", "\u2013", "/"]), [], 0
    while at < len(digits):
        step = chance.choice([2, 3, 3, 4])
        out.append(digits[at:at + step])
        at += step
    # A slash stands once, behind the area code: twice would be a list.
    return out[0] + mark + " ".join(out[1:]) if mark == "/" else mark.join(out)


def writings(number, region):
    """The ways in which one number is written."""
    e164 = pn.format_number(number, F.E164)
    inside = pn.format_number(number, F.NATIONAL)
    outside = pn.format_number(number, F.INTERNATIONAL)
    significant = pn.national_significant_number(number)
    code = str(number.country_code)
    other = chance.choice(["US", "DE", "BR", "TW", "IN", None])
    all_ways = [
        (e164, other), (outside, other), (inside, region), (significant, region), (code + significant, region),
        (separated(inside), region), ("+" + code + " " + separated(significant), other),
        ("+" + code + " (" + significant[:2] + ") " + separated(significant[2:]), other),
        (pn.format_number(number, F.RFC3966), other), ("tel:" + e164, other), ("Tel. " + inside, region),
        (inside + " ext. " + str(chance.randint(1, 9999)), region), (outside + " x" + str(chance.randint(10, 999)), other),
        (e164.translate(FULL_WIDTH).replace("+", "\uff0b"), other), (inside.translate(chance.choice([ARABIC, DEVANAGARI])), region),
        ("(" + e164 + ")", other), ("\u202a" + outside + "\u202c", other), (outside.replace(" ", ""), region),
    ]
    return all_ways


def changed(significant):
    """The national number with a slip of the pen: often still valid, often not."""
    way = chance.randrange(6)
    at = chance.randrange(len(significant))
    if way == 0:
        return significant[:at] + significant[at + 1:]
    if way == 1:
        return significant[:at] + str(chance.randint(0, 9)) + significant[at:]
    if way == 2:
        return str(chance.randint(0, 9)) + significant[1:]
    if way == 3:
        return "".join(str(chance.randint(0, 9)) for _ in significant)
    # The tail at will: the numbers that a real list is full of.
    keep = chance.randint(3, max(3, len(significant) - 3))
    return significant[:keep] + "".join(str(chance.randint(0, 9)) for _ in significant[keep:])


def main():
    """All regions and international networks, all kinds of lines."""
    print(f"# phonenumbers {pn.__version__}: {' '.join(['text', 'default', 'e164', 'region', 'line'])}")
    places = [(region, pn.country_code_for_region(region)) for region in sorted(pn.SUPPORTED_REGIONS)]
    places += [(None, code) for code in sorted(pn.COUNTRY_CODES_FOR_NON_GEO_REGIONS)]
    for region, code in places:
        examples = []
        for kind in KINDS:
            if region is None:
                example = pn.example_number_for_non_geo_entity(code)
            else:
                example = pn.example_number_for_type(region, kind)
            if example is not None and example not in examples:
                examples.append(example)
        for example in examples:
            ways = writings(example, region)
            for text, default in chance.sample(ways, 6):
                emit(text, default)
            significant = pn.national_significant_number(example)
            for _ in range(7):
                digits = changed(significant)
                try:
                    number = pn.parse("+" + str(code) + digits, None)
                except pn.NumberParseException:
                    emit("+" + str(code) + digits, None)
                    continue
                text, default = chance.choice(writings(number, region))
                emit(text, default)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(__doc__)
    main()
