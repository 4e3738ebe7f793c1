"""The words in which reports speak of BI-RADS, in English, German and Dutch: what kind of word each is.

Each of a text's tokens has one kind, the name of its group in TOKEN. Linear in the text: no pattern looks far.
"""

from __future__ import annotations

import re

_UNIT = (
    r"(?:mm|cm|x|×|%|uhr|uur|o.?clock|months?|mo|weeks?|years?|days?|monat\w*|wochen?|jahre?n?|tagen?"
    r"|maand\w*|weken|jaar)"
)
_UNITS = rf"\s?[-–]?\s?{_UNIT}(?!\w)"
_ROMAN = r"(?-i:III|II|IV|VI|V|I)"
# A number that goes on (4.5, 2-3, 12), counts something (2 cm, 6 months) or is a century's is no category.
CATEGORY = (
    r"(?:4(?:[ABC]|\s(?-i:[ABC]))|[0-6]|(?-i:III|II|IV|VI|V|I(?=\s*(?:[.,;)]|$))))"
    rf"(?!\w|\s?[-–/+]\s?\d|[.,]\d|{_UNITS})"
)
_AT_BEGINNING = r"(?:(?<![\w.,])|(?<=RADS)|(?<=\b(?-i:[LR])))"
_BETWEEN = r"(?:\s?[-–—/+]\s?|\s(?:to|or|and/or|through|versus|vs\.?|bis|oder|und/oder|tot|of)\s)"
_RANGE = (
    rf"{_AT_BEGINNING}(?:[0-6][ABC]?|{_ROMAN})(?:{_BETWEEN}(?:BI[\s-]?RADS[\s-]?)?(?:[0-6][ABC]?|{_ROMAN}|(?-i:[ABC]))"
    rf"|[-–/][ABC])(?!\w|{_UNITS})"
)
_FORMER = (
    r"prior|previous(?:ly)?|former(?:ly)?|earlier|past|last|initial(?:ly)?|history|ago|was|were|compar\w+"
    r"|vor(?:her|befund|bild|aufnahme|untersuchung|mammogra)\w*|zuvor|zuletzt|früher\w*|ehemal\w*|damal\w*|war|waren"
    r"|vergl\w+|eerder\w*|voorheen|vorige?|voorgaand\w*|vergel\w+"
    r"|(?:in|of|from|vom|von|van|uit)\s(?:[\d./-]{1,6})?(?:19|20)\d\d"
)
_DOUBT = (
    r"no|not|nor|neither|never|without|excluded?|rather|instead|kein\w*|nicht|ohne|ausgeschlossen|ausschluss|statt"
    r"|geen|niet|zonder|uitgesloten"  # negation
    r"|upgrad\w*|downgrad\w*|chang\w+|\w{2,8}gestuft|\w{2,8}stufung"  # a change
    r"|addend\w*|wrong|incorrect|correct\w*|erro\w+|falsch\w*|korrekt\w*|korrig\w*|nachtrag|onjuist|fout"  # correction
    r"|sister|mother|daughter|aunt|cousin|famil\w+|schwester|mutter|tochter|tante|zus|moeder|dochter"  # somebody else
    r"|if|unless|wenn|falls|sofern|indien|had|hatte"  # a condition
    r"|contralateral\w*|kontralateral\w*|contralateraal|opposite"
    r"|categories|kategorien|categorieën|differential\w*"  # a legend, a choice
)
# The one negation that goes with a category: it is malignancy that there is no evidence of.
_IDIOM = (
    r"no\s(?:mammographic\s|imaging\s)?evidence\sof\smalignancy|kein\s(?:Hinweis\sauf|Anhalt\sfür)\s(?:Malignität|(?:ein\s)?Malignom)"
    r"|geen\s(?:aanwijzing(?:en)?\svoor\s)?maligniteit"
)

TOKEN = re.compile(
    "|".join(
        (
            r"(?P<birads>\bBI[\s-]?RADS(?![^\W\d]))",
            rf"(?P<idiom>\b(?:{_IDIOM})(?=\s*(?:[,.;:()]|$)))",
            r"(?P<left>\b(?:left|links|linke[rnms]?|linkerborst|(?-i:LT|L)(?=\W|\d|$))(?![^\W\d])|\bli\.)",
            r"(?P<right>\b(?:right(?!\s(?:away|now))|rechts|rechte[rnms]?|rechterborst|(?-i:RT|R)(?=\W|\d|$))(?![^\W\d])"
            r"|\bre\.)",
            r"(?P<both>\b(?:both|bilateral(?:ly)?|bilateraal|beid(?:e[rnms]?|seits|erseits)|beiderzijds)\b|\bbds\.?)",
            rf"(?P<former>\b(?:{_FORMER})\b)",
            rf"(?P<doubt>\b(?:{_DOUBT})\b)",
            r"(?P<now>\b(?:now|today|currently|jetzt|nun|heute|aktuell|nu|thans)\b)",
            r"(?P<density>\b(?:density|composition|brustdichte|dichte|densiteit|dichtheid|parenchym\w*|tissue)\b)",
            rf"(?P<range>{_RANGE})",
            rf"(?P<category>{_AT_BEGINNING}{CATEGORY})",
            r"(?P<joined>[,&+/]|\b(?:and|und|en)\b)",
            r"(?P<filler>[:=()\[\]™®-]|\b(?:cat|kat)\.|\b(?:acr|final|overall|assessment|score|code|categor(?:y|ie)|kategorie"
            r"|cat|kat|klasse|klassifikation|gesamt|breasts?|mamma[e]?|brust|brüste|borst(?:en)?|side|seite|is)\b)",
            r"(?P<end>;|\n|(?<!\bDr)(?<!\bvs)\.(?!\d))",
            r"(?P<other>\w+|\S)",
        )
    ),
    re.IGNORECASE,
)
HEADING = re.compile(r"\s*(?:[^\W\d]+\s+){0,3}[^\W\d]+\s*:")
"""Up to four words at the beginning of a line; "BI-RADS:" is none, for its hyphen or because it speaks of BI-RADS."""
FIELD = re.compile(
    rf"\s*(?:BI[\s-]?RADS[\s:-]*)?(?:category\s*)?(?P<category>{CATEGORY})(?:\s+-\s+(?P<words>[^\W\d].*))?\s*",
    re.IGNORECASE,
)
"""A category that is a whole value, or stands before a dash and words."""
