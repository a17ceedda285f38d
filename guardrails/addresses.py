"""Places where somebody lives: streets with a number, boxes, and the postcodes that go with them.

A street's name may be any word, so an address wants a frame: a word for a street, a unit ("Apt. 12"), a box,
or words before it that say that an address comes. What follows the street on the same breath (unit, town,
region, country, postcode) belongs to it.
"""

from __future__ import annotations

import re

from guardrails.nearby import CAPITALS, Spans

#: No longer than words are: an endless one would be tried from each of its letters.
_CAP = rf"(?:(?<!\w)[{CAPITALS}][\w'’-]{{0,30}}\.?)"
_SMALL = r"(?:de|del|della|delle|dei|di|da|do|dos|das|du|des|la|le|les|el|los|las|van|von|der|den|the|of|and|y|e|zu|zum|zur|am|an|in|på|av|til|sur|sous|aux?|ter|op|d'|l')"  # fmt: skip  # noqa: E501
_ORDINAL = r"(?:\d{1,4}(?:st|nd|rd|th|\.)?)"
#: One to five words of a street's name.
_NAME = rf"(?:(?:{_CAP}|{_SMALL}|{_ORDINAL})[ ]){{0,4}}"
_HOUSE = r"(?<![\w.,/$€£¥:-])\d{1,6}[A-Za-z]?(?:[-/]\d{1,4}[A-Za-z]?)?(?: \d{1,5})?"
_SUFFIX = (
    r"(?:Street|St|Avenue|Ave|Av|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Place|Pl|Square|Sq|Terrace"
    r"|Parkway|Pkwy|Highway|Hwy|Way|Circle|Cir|Trail|Trl|Close|Crescent|Cres|Mews|Alley|Plaza|Pike|Quay|Grove"
    r"|Gardens|Gdns|Broadway|Expressway|Turnpike|Freeway|Bypass|Esplanade|Promenade)"
)
#: Words that are streets in many towns and something else in most sentences: only behind a unit or a word.
_LOOSE = r"(?:Park|Row|Pass|Path|View|Hill|Hills|Green|Rise|Walk|Loop|Route|Wharf|Field|Fields|Gate|Bend|Common|Ridge|Union|Squares?|Dale|Glen|Mount|Port|Heights|Manor|Meadow|Villas?|Spur|Run|Knoll|Cove|Shore|Falls)"  # fmt: skip  # noqa: E501
#: Continental streets by their ending, one word ("Søndergade") or two ("Rákóczi út").
_ENDING = (
    r"(?:stra(?:ß|ss)e|strasse|str\.|gasse|weg|platz|allee|damm|ufer|steig|markt|vej|vænge|allé|plads|stræde"
    r"|vägen|väg|gatan|gränd|stigen|torget|veien|vegen|plass|katu|kuja|polku|straat|laan|plein|gracht"
    r"|dijk|kade|singel|baan|dreef|stræti|braut|vegur|utca|mnt|maantee|tänav|terrasse|bakken|parken|svingen)"
)
_APART = r"(?:[Ss]tra(?:ß|ss)e|[Ss]tr\.|[Gg]asse|[Ww]eg|[Pp]latz|[Aa]llee|út|útja|u\.|utca|tér|tere|krt\.|köz|katu|tie|[Gg]ate|[Gg]ade|[Vv]ej|[Vv]ei|ulica|cesta|ulice|třída|náměstí|nám\.|kapu|tee|pst|mnt|str|street)"  # fmt: skip  # noqa: E501
#: Romance and Slavic streets by the word before their name.
_LEADING = (
    r"(?:[Rr]ue|[Aa]venue|[Bb]oulevard|[Bb]d|[Pp]lace|[Cc]hemin|[Aa]llée|[Ii]mpasse|[Qq]uai|[Cc]ours|Via|Viale"
    r"|[Pp]iazza|[Cc]orso|[Vv]icolo|[Ss]trada|[Cc]alle|C/|[Aa]venida|Av\.|[Pp]aseo|[Pp]laza|[Cc]arrera|[Cc]amino"
    r"|Ronda|Rúa|Rua|[Tt]ravessa|[Pp]raça|[Ee]strada|ul\.|[Uu]lica|al\.|[Aa]leja|Leoforos|Odos|ulitsa)"
)
_AFTER_NUMBER = r"(?![\w%€£]|[.,]\d)"
_UNIT = r"(?:(?:Apt|Apartment|Suite|Ste|Unit|Flat|Room|Rm|Floor|Fl|Bldg|Building|Piso|Lok|Wohnung)\b\.? ?#?[A-Z]?\d{1,5}[A-Z]?|#\s?\d{1,5})"  # fmt: skip  # noqa: E501

_FRAMED = re.compile(
    # "In 2021 Brazil's Supreme Court" is a year and a judge.
    r"(?!(?:19|20)\d\d,? (?:\S+ ){1,4}Court)"
    rf"{_HOUSE},? {_NAME}(?:{_CAP}|{_SMALL}|{_ORDINAL}) {_SUFFIX}\b\.?"
    r"(?:,? (?:N|S|E|W|NE|NW|SE|SW|North|South|East|West)\b\.?)?"
    rf"|(?:{_HOUSE},? )?(?:{_CAP} ){{0,2}}(?<!\w)[{CAPITALS}]\w{{0,30}}{_ENDING} \d{{1,4}}[A-Za-z]?"
    rf"{_AFTER_NUMBER}"
    rf"|(?:{_HOUSE},? )?(?:{_CAP} ){{1,3}}{_APART} \d{{1,4}}[A-Za-z]?\.?{_AFTER_NUMBER}"
    rf"|{_HOUSE}(?: bis| ter)?,? {_LEADING} {_NAME}{_CAP}(?: \d{{1,4}}{_AFTER_NUMBER})?"
    rf"|(?<!\w){_LEADING} {_NAME}{_CAP},? (?:n[.°º]? ?)?\d{{1,4}}[A-Za-z]?{_AFTER_NUMBER}"
    r"|\bPSC \d{1,5},? Box \d{1,6}|\bUnit \d{1,6},? Box \d{1,6}|\bP\.? ?O\.? ?Box \d{1,6}"
    rf"|\b(?:USS|USNS|USNV|USCGC) {_CAP}(?= ?\n? ?(?:APO|FPO|DPO))"
    rf"|{_HOUSE},? (?:{_ORDINAL} )?{_NAME}{_CAP}(?: \d{{1,4}}\.?)?,?\s{{1,3}}(?={_UNIT})"
)
#: Behind these words whatever has a number and a name is an address.
_COMING = (
    r"\b(?:address(?:es)?(?: (?:is|are|was|to|at|with)|\s?:)"
    r"|liv(?:e|es|ed|ing) (?:at|on|in)|resid(?:es?|ing) (?:at|on|in)|moved to"
    r"|(?:office|house|home|store|shop) is (?:at|on)|(?:located|meet(?: me| you)?|stop|arriv\w*|stay\w*"
    r"|deliver\w*|drops? (?:you|me) off|sen[dt](?: \w+){0,4}?|mail\w*|ship\w*|return(?: \w+){0,2}?) (?:at|to)"
    r"|corner of|here they are)"
    r"[\s:,.-]{0,8}(?:the corner of )?"
)
_NUMBERED = rf"(?:{_HOUSE},? {_NAME}(?:{_CAP})(?: {_LOOSE})?(?: \d{{1,4}}\.?{_AFTER_NUMBER})?|(?:{_CAP} ){{1,3}}\d{{1,4}}{_AFTER_NUMBER})"  # fmt: skip  # noqa: E501
_TOLD = re.compile(rf"(?i:{_COMING})(?P<place>{_NUMBERED})")
#: Two numbers around a name are a street only where town and postcode follow on lines of their own.
_BARE = re.compile(rf"{_HOUSE},? {_NAME}{_CAP} \d{{1,4}}(?=\n)")
_LOOSELY = re.compile(rf"{_HOUSE},? {_NAME}{_CAP} {_LOOSE}\b")

_STATES = "AL|AK|AZ|AR|CA|CO|CT|DE|FL|GA|HI|ID|IL|IN|IA|KS|KY|LA|ME|MD|MA|MI|MN|MS|MO|MT|NE|NV|NH|NJ|NM|NY|NC|ND|OH|OK|OR|PA|RI|SC|SD|TN|TX|UT|VT|VA|WA|WV|WI|WY|DC|PR"  # noqa: E501
_BRITISH = r"(?:[A-Z]{1,2}\d[A-Z\d]? ?\d[ABD-HJLNP-UW-Z]{2})"
_CANADIAN = r"(?:[ABCEGHJ-NPRSTVXY]\d[A-Z] ?\d[A-Z]\d)"
_CODE = rf"(?:\d{{5}}(?:-\d{{3,4}})?|\d{{4}} [A-Z]{{2}}|\d{{3}} \d{{2}}|\d{{4}}|\d{{2}}-\d{{3}}|{_BRITISH}|{_CANADIAN})(?![\w%]|[.,-]\d)"  # fmt: skip  # noqa: E501
#: What goes on an address: each part may be missing, but the last one must not be a bare town.
_GAP = r"[ ]?[,.]?\s{0,3}(?:\n[>?|*]{0,3})?[ ]{0,3},?[ ]{0,2}"
_TOWN = rf"(?:{_CAP}|{_SMALL})(?:[ -](?:{_CAP}|{_SMALL})){{0,4}}"
_REGION = r"(?:[A-Z]{2,3}\b\.?)"
_COUNTRIES = "United States(?: of America)?|USA|U\\.S\\.A\\.|United Kingdom|UK|England|Scotland|Wales|Ireland|Germany|France|Spain|Italy|Portugal|Netherlands|The Netherlands|Belgium|Luxembourg|Austria|Switzerland|Denmark|Norway|Sweden|Finland|Iceland|Greenland|Poland|Czech Republic|Czechia|Slovakia|Hungary|Slovenia|Croatia|Serbia|Romania|Bulgaria|Greece|Cyprus(?: \\(\\w+\\))?|Estonia|Latvia|Lithuania|Ukraine|Russia|Turkey|Israel|Canada|Mexico|Brazil|Argentina|Uruguay|Chile|Colombia|Peru|Australia|New Zealand|South Africa|Tunisia|Egypt|Morocco|India|China|Japan|South Korea|Singapore|Vietnam"  # noqa: E501
_TAIL = re.compile(
    rf"(?:{_GAP}{_UNIT})?"
    rf"(?:(?:{_GAP}(?:{_TOWN})){{0,2}}(?:{_GAP}{_REGION})?(?:{_GAP}(?:{_COUNTRIES}))?{_GAP}{_CODE}"
    rf"|{_GAP}{_TOWN},? {_REGION}(?= ?(?:[.\n]|$))"
    rf"|(?:{_GAP}(?:{_TOWN}),?)?(?:{_GAP}{_REGION})?{_GAP}(?:{_COUNTRIES})(?!\w))?"
)
_STATED = re.compile(
    rf"(?<!\w){_CAP}(?: {_CAP}){{0,2}},? (?:{_STATES}),? \d{{5}}(?:-\d{{4}})?(?![\w-]|[.,]\d)"
)
_MILITARY = re.compile(r"\b(?:APO|FPO|DPO),? A[AEP],? \d{5}(?:-\d{4})?\b")
_POSTCODE = re.compile(
    rf"(?i:\b(?:zip|post(?:al)?[ -]?code|zip[ -]?code|plz|cap|código postal|code postal)\b)"
    rf"(?i:[\s:.#-]{{0,3}}(?:(?:is|code|of|number)\b[\s:]{{0,2}}){{0,2}})(?P<code>{_CODE}|\d{{5}}-\d{{3,4}}|\d{{3,6}}(?!\w))"
)
_OWN_SHAPE = re.compile(
    rf"(?<![\w./-])(?:{_BRITISH.replace(' ?', ' ')}|{_CANADIAN.replace(' ?', ' ')})(?![\w-])"
)


def addresses(text: str) -> Spans:
    """Find street addresses, boxes and postcodes, in order of place; what overlaps is one address."""
    start = end = 0
    for at, until in sorted(_parts(text)):
        if at >= end and end > start:
            yield start, end
        start = start if at < end else at
        end = max(end, until)
    if end > start:
        yield start, end


def _parts(text: str) -> Spans:
    for match in _FRAMED.finditer(text):
        yield match.start(), _tail(text, match.end())
    for match in _TOLD.finditer(text):
        yield match.start("place"), _tail(text, match.end())
    for match in (*_LOOSELY.finditer(text), *_BARE.finditer(text)):
        end = _tail(text, match.end())
        if end > match.end():
            yield match.start(), end
    for pattern in (_STATED, _MILITARY, _OWN_SHAPE):
        yield from (match.span() for match in pattern.finditer(text))
    yield from (match.span("code") for match in _POSTCODE.finditer(text))


def _tail(text: str, at: int) -> int:
    """Return where an address ends whose street ends at `at`."""
    match = _TAIL.match(text, at, at + 160)
    return match.end() if match else at
