"""Names of countries and of the groups that stand beside them on axes, as charts write them.

A label that OCR misread in one letter, or whose beginning the picture cuts off, is known again where it can
be only one of these.
"""

from __future__ import annotations

_NAMES = """
Afghanistan|Albania|Algeria|Andorra|Angola|Argentina|Armenia|Australia|Austria|Azerbaijan|Bahamas|
Bahrain|Bangladesh|Barbados|Belarus|Belgium|Belize|Benin|Bhutan|Bolivia|Bosnia and Herzegovina|
Botswana|Brazil|Brunei|Bulgaria|Burkina Faso|Burundi|Cambodia|Cameroon|Canada|Cape Verde|
Central African Republic|Chad|Chile|China|Colombia|Comoros|Congo|Costa Rica|Croatia|Cuba|Cyprus|
Czechia|Czech Republic|Denmark|Djibouti|Dominican Republic|Ecuador|Egypt|El Salvador|Eritrea|
Estonia|Eswatini|Ethiopia|Fiji|Finland|France|Gabon|Gambia|Georgia|Germany|Ghana|Greece|Greenland|
Guatemala|Guinea|Guyana|Haiti|Honduras|Hong Kong|Hungary|Iceland|India|Indonesia|Iran|Iraq|Ireland|
Israel|Italy|Ivory Coast|Jamaica|Japan|Jordan|Kazakhstan|Kenya|Korea|Kosovo|Kuwait|Kyrgyzstan|Laos|
Latvia|Lebanon|Lesotho|Liberia|Libya|Liechtenstein|Lithuania|Luxembourg|Madagascar|Malawi|Malaysia|
Maldives|Mali|Malta|Mauritania|Mauritius|Mexico|Moldova|Monaco|Mongolia|Montenegro|Morocco|
Mozambique|Myanmar|Namibia|Nepal|Netherlands|New Zealand|Nicaragua|Niger|Nigeria|North Korea|
North Macedonia|Norway|Oman|Pakistan|Palestine|Panama|Papua New Guinea|Paraguay|Peru|Philippines|
Poland|Portugal|Qatar|Romania|Russia|Rwanda|Samoa|San Marino|Saudi Arabia|Senegal|Serbia|Seychelles|
Sierra Leone|Singapore|Slovakia|Slovak Republic|Slovak Rep.|Slovenia|Somalia|South Africa|
South Korea|South Sudan|Spain|Sri Lanka|Sudan|Suriname|Sweden|Switzerland|Syria|Taiwan|Tajikistan|
Tanzania|Thailand|Togo|Tonga|Trinidad and Tobago|Tunisia|Turkey|Türkiye|Turkmenistan|Uganda|UK|
Ukraine|United Arab Emirates|United Kingdom|United States|Uruguay|US|USA|U.S.|U.K.|Uzbekistan|
Vanuatu|Venezuela|Vietnam|Yemen|Zambia|Zimbabwe
"""
COUNTRIES = frozenset(name.strip().casefold() for name in _NAMES.replace("\n", "").split("|"))
#: What stands among countries and is none.
GROUPS = frozenset(
    {"oecd", "oecd average", "oecd - average", "oecd average country", "european union", "eu", "eu average"}
    | {"euro area", "world", "g7", "g20", "average", "total"}
)
#: Least letters of a cut off name.
_LEAST = 6


def known_name(label: str) -> str:
    """Return the country or group that a label must mean, casefolded; "" where it is none or may be two."""
    plain = (
        label.strip(" .…").casefold() if label not in ("U.S.", "U.K.", "Slovak Rep.") else label.casefold()
    )
    names = COUNTRIES | GROUPS
    for exact in (label.casefold().strip(), plain, f"{plain}."):
        if exact in names:
            return exact
    near = {name for name in names if _one_letter_apart(name, plain)}
    if not near and len(plain) > _LEAST:
        # Its beginning is cut off, and the letters at the cut may be misread.
        near = {name for name in names for cut in (0, 1, 2) if _ends_so(name, plain[cut:])}
    if not near and label.endswith("...") and len(plain) >= _LEAST:
        near = {name for name in names if plain[1:] in name and len(plain) >= len(name) / 2}
    return near.pop() if len(near) == 1 else ""


def _one_letter_apart(name: str, text: str) -> bool:
    return len(name) == len(text) > 4 and sum(a != b for a, b in zip(name, text, strict=True)) == 1


def _ends_so(name: str, ending: str) -> bool:
    return len(ending) >= _LEAST and name.endswith(ending) and len(name) - len(ending) <= 3
