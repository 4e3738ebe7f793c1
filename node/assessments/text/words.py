"""The vocabulary of reports with BI-RADS in English, German and Dutch: splits a text into tokens by kind of word.

The kind of a token is the name of its group in `_TOKEN`. Runs in linear time: no pattern has unlimited look-ahead.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from models.types.birads import Category
from models.types.mammogram import Laterality

Sides = tuple[Laterality, ...]
"""The breasts that are named; empty if none is."""

SOFT_BREAK = "\v"
"""Replaces the end of a line that may not be the end of its sentence. It is white space to all patterns."""

_UNREAD = "\ufffd"
"""Replaces a character that could not be decoded. It may be any letter, so a number beside it is not a category."""
_SCRIPTS = ("LATIN", "GREEK", "MICRO", "FEMININE", "MASCULINE", "MODIFIER")
_HYPHENS = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63\uff0d\u2043"), "-")
_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u2060\ufeff"))
_LINE_ENDS = dict.fromkeys(map(ord, "\r\v\f\x85\u2028\u2029"), "\n")
_PLAIN = str.maketrans(_HYPHENS | _INVISIBLE | _LINE_ENDS)

_DASH = r"\s?-\s?"
_UNIT = (
    r"(?:mm|cm|x|×|%|uhr|uur|o.?clock|months?|mo|weeks?|years?|days?|monat\w*|wochen?|jahre?n?|tagen?"
    r"|maand\w*|weken|jaar)"
)
_UNITS = rf"\s?-?\s?{_UNIT}(?!\w)"
# "3 lesions left", "2 small masses", "3-D": a number that counts or measures.
_COUNTED = (
    r"(?:lesions|masses|nodules|cysts|lumps|foci|densities|asymmetries|distortions|clusters|groups|clips|markers|scars|nodes"
    r"|findings|abnormalities|areas|regions|quadrants|views?|images|films|projections|planes|exposures|pictures|biopsies"
    r"|herde|rundherde|herdbefunde|befunde|läsionen|zysten|knoten|verdichtungen|areale|lymphknoten|aufnahmen|ebenen|bilder"
    r"|narben|clips|biopsien|haarden|laesies|massa.s|cysten|noduli|opnamen|afbeeldingen|bevindingen|littekens|biopten)"
)
_ONE = (
    r"(?:lesion|mass|nodule|cyst|lump|focus|asymmetry|distortion|cluster|clip|scar|node|finding|herd|rundherd|läsion|zyste"
    r"|narbe|haard|laesie|massa|cyste|litteken)"
)
# "2 benign findings" is the atlas's name of the category; "2 - lesions" is not a count.
_OWN_NAME = (
    r"(?:(?<=2.)benign\sfindings|(?<=3.)probably\sbenign\sfindings|(?<=4.)suspicious\s(?:findings|abnormalities))"
)
_COUNTS = (
    rf"(?:(?<=[0-6])[ {SOFT_BREAK}-](?!{_OWN_NAME})(?:[^\W\d]+[ {SOFT_BREAK}]){{0,2}}{_COUNTED}|(?<=1)[ {SOFT_BREAK}]"
    rf"(?:[^\W\d]+[ {SOFT_BREAK}]){{0,2}}{_ONE}|\s?-\s?D)(?!\w)"
)
# "V. a." is "Verdacht auf", and "I. d. R." "in der Regel".
_NO_ABBREVIATION = r"(?!\.\s?(?-i:[a-z])\b|\.\s?[A-Z]\.|\s(?-i:a)\b)"
_ROMAN = r"(?-i:III|II|IV|VI|V|I)"
_LEFT = r"left(?:-sided)?|links|linke[rnms]?|linkerborst|linksseitig\w*"
_RIGHT = r"right(?:-sided)?|rechts|rechte[rnms]?|rechterborst|rechtsseitig\w*"
_BREAST = r"breasts?|mammae?|mammas|brust|brüsten?|borst(?:en)?"
# Parts of a breast and findings in it: a side before one of them is a side of the breast.
_SITE = (
    r"sided|axill\w*|nipples?|\w*areola\w*|quadrants?|upper(?!\s(?:arm|limb|extrem|lobe|lung|abdom))|lower(?!\s(?:arm|limb|leg"
    r"|extrem|lobe|lung|abdom))|outer|inner|central|medial|lateral|[ul][oi]q|cc|mlo|xccl|implants?|intra-?mammary|mammary|ducts?"
    r"|ductal|mass(?:es)?|lumps?|lesions?|nodul\w+|cysts?|scars?|\w*calcifications?|asymmetr\w+|distortions?|architectural"
    r"|fibro\w+|hamartomas?|papillomas?|lipomas?|carcinomas?|cancers?|tumou?rs?|dcis|idc|focal|palpable|suspicious|mastectom\w+"
    r"|lumpectom\w+|biops(?:y|ies)|benign|malignan\w+|negative|normal|unremarkable|necrosis|h(?:a)?ematomas?|seromas?|abscess"
    r"|mastitis|gyn(?:a)?ecomastia|karzinom\w*|malignität|unauffällig\w*|gutartig\w*|maligniteit|goedaardig\w*"
    r"|achsel\w*|brustdrüse\w*|quadrant\w*|herde?|rundherd\w*|zyste\w*|narbe\w*|\w*kalk\w*|knoten|zijde|kant|oksel\w*"
    r"|kwadrant\w*|massa|cyste\w*|litteken\w*"
)
_DENSITY = r"\w*density|\w*dichte(?:typ|grad)?|densiteit|dichtheid"
_TISSUE = r"composition|parenchym\w*|tissue|\w*gewebe|\w*weefsel"
_GRADE = r"(?:(?:ACR|type?|grade?|category|kategorie|categorie|class|klasse)[\s:-]{1,2}){0,2}"
_ALONE = rf"(?=[ \t]*(?:[.,;:)\n{SOFT_BREAK}]|/(?!\s?[ABC]\b)|$))"
CONCLUSION = (
    r"impressions?|conclusions?|assessment|overall|summary|final|opinion|diagnos[ei]s|beurteilung|zusammenfassung"
    r"|fazit|gesamt\w*|conclusie|beoordeling|samenvatting|eindconclusie"
)
# Not a category: a part of a longer number (4.5, 2-3, 12, 2019), a count (2 cm, 6 months), and the 4 of "4 b rechts" or
# "4 A mass", which may be 4B or 4A. The 4 of "4 a mass" is one, because "a" is an article.
CATEGORY = (
    rf"(?:4(?:[ABC]|\s[ABC]{_ALONE})|IV[ABC]"
    rf"|[0-6](?![ ](?:[BC]|(?-i:A))\b(?!/L)|[ ]A\s(?:{_LEFT}|{_RIGHT}|li|re|l|r)\b)"
    rf"|(?-i:III|II|IV|VI|(?:V|I{_ALONE}){_NO_ABBREVIATION}))"
    rf"(?![\w{_UNREAD}+…]|{_DASH}\d|\s?[/+]\s?\d|[.,]\d|\.\.|\s(?:plus|minus)\b|\s?\?|\s?[(-]\s?[ABC]\b|(?-i:\s[ABC]{{2,}})\b|{_UNITS}|{_COUNTS})"
)
_AT_BEGINNING = rf"(?:(?<![\w.,{_UNREAD}])|(?<=RADS)|(?<=RAD)|(?<=\b(?-i:[LR])))"
_BETWEEN = rf"(?:{_DASH}|\s?[/+]\s?|\s(?:to|or|and/or|through|versus|vs\.?|bis|oder|und/oder|tot|of)\s)"
_RANGE = (
    rf"{_AT_BEGINNING}(?:[0-6][ABC]?|{_ROMAN})(?:{_BETWEEN}(?:BI[\s-]?RADS[\s-]?)?(?:[0-6][ABC]?|{_ROMAN}|(?-i:[ABC]))"
    rf"|[-/][ABC])(?!\w|{_UNITS})"
)
_FORMER = (
    r"priors?|prev|previous(?:ly)?|former(?:ly)?|before|earlier|past|last|initial(?:ly)?|history|ago|was|were|compar\w+"
    r"|baseline|old\s(?:films?|images?|mammogra\w+|stud\w+|exams?)|from\s(?:the\s)?screening"
    r"|(?:(?<=RADS\s[0-6]\s)|(?<=RADS\s[0-6]\s\())(?:19|20)\d\d|(?<=RADS\s[0-6]\s)follow-?\s?up"
    r"|davor|vergangen\w*|vor(?:her|befund|bild|aufnahme|untersuchung|mammogra)\w*|zuvor|zuletzt|früher\w*|ehemal\w*|damal\w*|war|waren"
    r"|at\sthat\stime|then(?=\s*(?:[.,;)]|$))|toen|destijds"
    r"|vergl\w+|eerder\w*|voorheen|vorige?|voorgaand\w*|vergel\w+"
    r"|(?:in|of|from|vom|von|van|uit)\s(?:[\d./-]{1,6})?(?:19|20)\d\d"
    r"|\d{1,2}[./-](?:\d{1,2}|[a-z]{3,9})[./-](?:\d\d){1,2}|(?:19|20)\d\d-\d\d-\d\d|\d{1,2}/(?:19|20)\d\d"
    r"|(?:jan|feb|mar|mär|maart|mrt|apr|ma[iy]|mei|jun|jul|aug|sep|o[ck]t|nov|de[cz])[^\W\d_]{0,6}[.,]?\s(?:\d{1,2}(?:st|nd|rd|th)?"
    r",?\s)?(?:19|20)\d\d"
)
# Persons whose category is not, or not the only one, of the report.
_READER = (
    r"(?:over|out)?-?\s?readers?|readings?|over-?\s?reads?|(?:double|wet|blinded|independent|preliminary)(?:ly)?[\s-]read\w*"
    r"|(?:1st|2nd|3rd|first|second|third)[\s-](?:reads?|opinion|review\w*|radiologist|observer|interpretation)|prelim(?:inary)?"
    r"|reads?\s\d|(?:radiologist|physician|doctor|observer|reviewer|dr|befunder|arzt|radiologe|radioloog|lezer)\.?\s?#?"
    r"(?:\d|(?-i:I{1,3}|[AB])|one|two)(?=\s?[:,(-]|\s(?:BI|is|says|gives|assigns))|consensus|arbitrat\w*|discordan\w*"
    r"|adjudicat\w*|reviewers?|observers?|(?:peer|independent|external)\sreview|residents?|registrars?|trainees?|fellows?"
    r"|attending|technologist\w*|radiographers?|referring|(?:tumou?r|multidisciplinary)\s(?:board|conference)|mdt"
    r"|(?:patient|physician|clinician|surgeon|doctor)\s(?:states?|says?|reports?|believes?|thinks?)"
    r"|(?:(?:per|according\sto|laut|volgens)\s|(?<=\())dr|(?:erst|zweit|dritt)(?:befund|les|mein|beurteil)\w*|konsens\w*|\w*befunder"
    r"|(?:assistenz|ober|chef)(?:arzt|ärztin)|tumorboard|(?:eerste|tweede|derde)\s\w*(?:lez|lees|beoord)\w*|lezers?|beoordelaars?"
    r"|(?-i:R[12])(?=:\sBI)|arts-assistent\w*|mdo"
)
# Directly before BI-RADS: the category is the reason for the exam.
_CAME_WITH = (
    r"(?:recall(?:ed)?|call-?\s?back|work-?\s?up|s/p|evaluat\w+|presents|presenting|suspicious\sfor|consider|referr(?:ed|al)|follow-?\s?up"
    r"|biops\w+\s(?:of|von|van|bei|nach)|verlaufskontrolle|überwiesen|zugewiesen|verwezen|suspicion|suspected|verdacht|v\.\s?a\.?|verdenking|z\.\s?n\.?|dd"
    r"|(?:z|st|zust)\.\s?n\.(?:\sbiops\w+)?|(?:zustand|status)\s(?:nach|post)(?:\sbiops\w+)?"
    r"|(?<!year\s)(?<!years\s)(?<!jahre\s)(?<!jaar\s)(?<!-)(?:old|alte[rs]?|oude?)"
    r")(?=\s(?:(?:of|for|from|due\sto|after|auf|op|wegen|na|nach|bei|van|an?|the|ein\w*|een|left|right|links|rechts|breast)\s){0,4}"
    r"BI[\s-]?RADS?)"
)
MACHINE = (
    r"(?:(?-i:AI|KI|CAD|iCAD|MIA)|mammo-?node|computer\w*|algorithm\w*|software|transpara|screenpoint|lunit|insight\smmg|profound\s?ai"
    r"|genius\sai|mammoscreen|therapixel|kheiron|(?-i:Vara)|saige(?:-dx)?|deephealth|imagechecker|secondlook|(?:artificial|künstliche|kunstmatige)"
    r"\sintelligen\w+)"
)
_DOUBT = (
    r"no|not|nor|neither|never|without|cannot|excluded?|rather|instead|kein\w*|nicht|ohne|ausgeschlossen|ausschluss"
    r"|statt|geen|niet|zonder|uitgesloten|rule[sd]?\sout"  # negation
    r"|upgrad\w*|downgrad\w*|chang\w+|\w{2,8}gestuft|\w{2,8}stufung"  # a change
    r"|addend\w*|amend\w*|revis\w+|wrong|incorrect|correct\w*|erro\w+|falsch\w*|korrekt\w*|korrig\w*"
    r"|nachtrag|onjuist|fout|sic|typo|retracted|withdrawn|cancel\w*|deleted?|default|template"  # correction
    r"|disagree\w*|revoked|overruled|refuted|obsolete?|aufgehoben|hinfällig|widerlegt|entkräftet"  # revoked
    r"|vervall\w+|vervalt"
    r"|resolved|disappeared|excised|verschwunden|exzidiert|verdwenen"  # gone
    r"|provisional|draft|unsigned|vorläufig\w*|entwurf\w*|unsigniert|voorlopig\w*"  # not final
    r"|concept(?:verslag)?|ongetekend"
    r"|sister|mother|daughter|aunt|cousin|famil\w+|schwester|mutter|tochter|tante|zus|moeder|dochter"  # somebody else
    r"|if|unless|until|wenn|falls|sofern|bis\szum?|indien|had|hatte|would|could|should|may|might|pending"  # a condition
    r"|possibl[ey]|perhaps|maybe|questionable|uncertain|fraglich\w*|eventuell|evtl|vermutlich|eher|misschien|mogelijk"
    r"|(?:or|and|oder|und|of|en)\s(?:higher|above|more|greater|less|lower|below|up|so|höher|mehr|darüber|niedriger|hoger|meer|lager)"
    r"|equivalent|means?|e\.g\.|z\.\s?b\.|bijv\."
    r"|(?<=RADS\s[0-6]\s)(?:(?:un)?likely|suggested)"
    r"|isn.t|r/o|(?<=RADS\s[0-6]-)like|at\sleast|at\smost|mindestens|höchstens|minstens|hoogstens"
    r"|either|entweder|ofwel"  # a guess
    r"|(?:contra|ipsi)lateral\w*|kontralateral\w*|(?:contra|ipsi)lateraal|opposite|(?:other|same)\s(?:breast|side)"
    r"|(?:andere[rns]?|gegen)\s?(?:brust|seite|borst|kant|zijde)"
    r"|categories|kategorien|categorieën|differential\w*|scale|skala|schaal|example\w*|beispiel\w*"  # a legend
    r"|(?:an)?other\s(?:hospital|facility|institution|cent(?:er|re)|clinic)"
    r"|outside|elsewhere|extern\w*|auswärt\w*|elders"  # another hospital
    r"|indication|indikation|indicatie|reason\sfor|reden|fragestellung|vraagstelling|anamnes[ei]s?|clinical\s(?:info\w*|question"
    r"|details|data)|klinische\s(?:angaben|gegevens|vraag)"  # why the patient came
    rf"|{_CAME_WITH}|{_READER}"
    # A category by a machine, not a mammogram "with CAD".
    rf"|(?<!with\s)(?<!mit\s)(?<!met\s)(?<!w/\s)(?<!w\s){MACHINE}"
    r"(?=[ :=(-]{1,3}(?:\w+[ :=(-]{1,3}){0,2}BI[\s-]?RADS?)"
    rf"|(?:^|(?<=[\n{SOFT_BREAK}])){MACHINE}(?:\s\w+){{0,2}}(?=\s?:)"
    rf"|(?:by|from|per|laut|nach|van|volgens|according\sto)\s(?:the\s|an\s|die\s|der\s|de\s)?{MACHINE}|(?<=\(){MACHINE}(?=\))"
)
# A negation of findings, not of the category: adjectives and nouns that reports negate.
_KIND_OF = (
    r"(?:(?:other|any|new|additional|suspicious|significant|abnormal|focal|definite|discrete|dominant|concerning|worrisome|malignant"
    r"|interval|architectural|residual|recurrent|local|imaging|\w+graphic|or|and|oder|und|of|en|\w*suspekt\w*|\w*verdächtig\w*"
    r"|\w*auffällig\w*|\w+graphisch\w*|sichere\w*|neue\w*|verdachte?|suspecte?|nieuwe?)\s){0,5}"
)
_DISEASE = (
    r"(?:malignan\w+|cancers?|carcinomas?|recurrence|metasta\w+|(?:malign|rezidiv)\w*|\w*karzinom\w*|tumors?|maligniteit|recidief"
    r"|carcinoom)"
)
_FOUND = (
    rf"(?:findings?|mass(?:es)?|lesions?|abnormalit(?:y|ies)|\w*calcifications?|distortions?|asymmetr(?:y|ies)|\w*adenopathy|evidence"
    rf"|signs?|change|\w*befunde?s?|\w*kalk\w*|\w*herde?|hinweise?|anhalt|nachweis|\w*zeichen|\w*verdacht|afwijking(?:en)?"
    rf"|aanwijzing(?:en)?|tekenen|massa|{_DISEASE})"
)
_OF_DISEASE = (
    r"\s(?:(?:suspicious|concerning|suggestive)\s)?(?:of|for|auf|für|von|van|voor|op)\s(?:an?\s|eine?n?\s|een\s)?"
    rf"{_KIND_OF}{_DISEASE}"
)
_NOTHING_FOUND = (
    rf"(?:no|without|kein\w*|ohne|geen|zonder)\s{_KIND_OF}{_FOUND}(?:\s(?:or|and|oder|und|of|en)\s{_KIND_OF}{_FOUND})?"
    rf"(?:{_OF_DISEASE})?"
)
# Doubt words that are normal beside a category: nothing found, and the atlas's phrases for 0 and 3 to 5.
_IDIOM = (
    rf"{_NOTHING_FOUND}|needs?\s(?:additional\simaging\sevaluation|(?:additional\simaging\sevaluation\sand/or\s)?prior\smammograms"
    r"\sfor\scomparison)|initial\sshort[\s-]interval\sfollow[\s-]?up(?:\s(?:is\s)?suggested)?"
    r"|(?:biopsy|appropriate\saction|tissue\sdiagnosis)\sshould\sbe\s\w+"
)
# "In the left breast", after a finding that is absent.
_OF_SIDES = (
    rf"(?:\s(?:(?:in|of|on|auf|der|den|de|the|either)\s){{0,2}}(?:both|{_LEFT}|{_RIGHT}|beid\w*|bds|bilateral\w*|beiderzijds"
    rf"|{_BREAST}|side|seite)\b){{0,3}}"
)
_MEASURED = (
    rf"\b(?:(?:ACR[\s-])?(?:{_DENSITY}|{_TISSUE})[\s:=(]{{1,3}}{_GRADE}(?:[a-d]|[1-4]|{_ROMAN})|ACR[\s-]{_GRADE}[a-d])"
    rf"(?![\w{_UNREAD}]|{_DASH}\w|\s?[/+]\s?\w|[.,]\d|{_UNITS})"
)
_INTO = rf"\b(?:(?:on|in|of|for|auf|op)[ {SOFT_BREAK}])?(?:(?:the|der|de)[ {SOFT_BREAK}])?"
_TOKEN = re.compile(
    "|".join(
        (
            r"(?P<birads>(?<![^\W_])BI[\s._-]{0,3}RADS?(?:\s?(?:®|\(TM\)|™))?)",
            rf"(?P<idiom>\b(?:{_IDIOM})(?={_OF_SIDES}(?:\s*(?:[,.;:()]|-\s|$)|[ \t]*(?:\n|{SOFT_BREAK}(?-i:[A-Z])))))",
            rf"(?P<former>\b(?:{_FORMER})(?!\w))",
            rf"(?P<doubt>\b(?:{_DOUBT})(?!\w)|\?)",
            # Short for a side, a name or "regarding": sides.py decides by the neighbouring words.
            r"(?P<unsure>(?<=RADS)\s?\(R\)|\b(?-i:[LR])\.\s*(?=(?-i:[A-Z][a-z]))(?!breast|brust|mamma|bi-?rads)"
            r"|\b(?-i:[LR](?:CC|MLO|ML|LM|XCC[LM]?|SIO|AT|B|[UL]?[IO]Q|L|R))\b|\b[lr]['’])",
            r"(?P<absent>\b(?:mastectom\w*|ablatio\w*|amputat\w*|absent|removed|mastektom\w*|geamputeerd)\b)",
            r"(?P<according>\blt\.?\s(?=ACR))",
            r"(?P<both>\b(?:(?:on|in|auf|op)\s)?(?:both|b/l|bilateral(?:ly)?|bilat|bilateraal|beid(?:e[rnms]?|seits|erseits)"
            r"|beiderzijds)\b|\bbds\.?|\b(?-i:R\s?[+&]\s?L|L\s?[+&]\s?R)\b)",
            r"(?P<short>\b(?:(?-i:LT|RT|L|R)(?=\W|\d|$)(?![^\W\d])|(?:lt|rt|li|re(?!-(?!seit|brust|mamma)[a-z])|lks)\b\.?|(?-i:[lr])\b))",
            rf"(?P<left>{_INTO}(?:{_LEFT})(?![^\W\d]))",
            rf"(?P<right>{_INTO}(?:{_RIGHT})(?![^\W\d]))",
            r"(?P<sided>\b(?:left|right|links|rechts|linker|rechter)\w+"
            r"|(?-i:[^\W\d]*[a-z][LR])\b|[0-6](?!(?:mm|cm|st|nd|rd|th|er|e|x|d|h|ml|kv|mo|o)\b)[^\W\d_]{2,}"
            r"|(?!bright|upright|outright|copyright|cleft)\w+(?:left|right|links|rechts)\w*)",
            r"(?P<now>\b(?:now|today|currently|jetzt|nun|heute|aktuell|nu|thans)\b)",
            rf"(?P<measured>{_MEASURED})",
            rf"(?P<density>\b(?:{_DENSITY})\b)",
            rf"(?P<tissue>\b(?:{_TISSUE})\b)",
            r"(?P<edition>\b(?:(?:[45]|IV|V)(?:th|\.|e)?|fourth|fifth)\s(?:edition|ed|auflage|editie|atlas|lexi[ck]on)\b|\b(?:lexi[ck]on|atlas)\b"
            r"|(?:(?<=RADS\s)|(?<=RADS\s\()|(?<=ion\s)|(?<=ion,\s)|(?<=ion\s\()|(?<=atlas\s)|(?<=atlas\s\())20(?:03|13)\b)",
            r"(?P<year>\b(?:19|20)\d\d\b(?!\s?(?:mm|cm|ml|mg|g|uhr|uur)\b))",
            r"(?P<exam>\b(?:mammogra\w*|mammos?|tomosynth\w*|screening\w*|exam(?:ination)?s?|study|studies|views?|diagnostic|(?-i:MG)"
            r"|digital\w*|ultraso\w*|sono\w*|mri|mrt|\w*untersuchung|\w*aufnahmen?|studie|onderzoek|echo\w*)\b)",
            r"(?P<label>\b(?:lateralit(?:y|ät|eit)|locati(?:on|e)|lokalisation|site|zijde|kant)(?=\s*[:=]))",
            rf"(?P<site>\b(?:{_SITE})\b)",
            r"(?P<measure>\b\d{1,2}:\d\d\b|\bN\s?\+\s?\d+)",
            rf"(?P<range>{_RANGE})",
            rf"(?P<bullet>(?:^|(?<=[\n{SOFT_BREAK}])|(?<=[.;]\s))[ \t]*\d{{1,2}}[.)](?=[ \t]+\S))",
            rf"(?P<category>{_AT_BEGINNING}{CATEGORY})",
            r"(?P<comma>,)",
            r"(?P<joined>[&+/]|\b(?:and|und|en|u\.(?=\s))(?!\w))",
            rf"(?P<breast>\b(?:{_BREAST})\b)",
            r"(?P<name>\b(?:cat|kat)\.|\b(?:acr|categor(?:y|ie)|kategorie|cat|kat|klasse)\b)",
            r"(?P<filler>[:=()\[\]™®#-]|\b(?:score\sof|final|overall|assessment|score|code|klassifikation|classificati(?:on|e)"
            r"|gesamt|side|seite|is)\b)",
            rf"(?P<conclusion>\b(?:{CONCLUSION}|results?|findings?|incomplete|befund\w*|ergebnis|uitslag|bevinding(?:en)?)\b)",
            rf"(?P<soft>{SOFT_BREAK})",
            r"(?P<abbreviated>\b(?:bzw|resp|respectively|ca|approx|in[ck]l|ex[ck]l|ggf|evtl|vgl|cf|[bz]|no|nr|u\.a|o\.g|i\.s|d\.h)\.(?=\s))",
            r"(?P<end>;|\n|(?<!\bDr)(?<!\bvs)(?<!\bMr)(?<!\bMs)(?<!\bMrs)(?<!\bProf)[.!](?!\d))",
            r"(?P<other>\w+|\S)",
        )
    ),
    re.IGNORECASE,
)
_DOCUMENT = (
    r"(?:report|result|document|dictation|assessment|interpretation|impression|conclusion|(?:vor)?befund|bericht|beurteilung"
    r"|verslag|uitslag|beoordeling|conclusie)e?s?"
)
_WITHDRAWN = (
    r"(?:retracted|withdrawn|cancel+ed|void(?:ed)?|invalid|recalled|superseded|replaced|revised|updated|reissued|wrong|false"
    r"|incorrect|disregarded|ignored|zurückgezogen|widerrufen|storniert|ungültig|falsch|ersetzt|geändert|aktualisiert"
    r"|ingetrokken|ongeldig|vervallen|vervangen|gewijzigd|herzien|onjuist|fout(?:ief)?)"
)
_SIDED = r"(?:left|right|sides?|laterality|labels?|markers?|links|rechts|seiten?|breasts?|kant(?:en)?|zijden?)"
_CORRECTS = re.compile(
    r"(?<!\w)(?:addend\w*|amend(?:ed|ment)\w*|corrigend\w*|correction\w*|corrected|corrects|errat(?:um|a)|erroneous\w*"
    r"|in\serror|error|mistake\w*|by\smistake|typo\w*|sic|sorry|(?:please\s)?(?:disregard|ignore)\b|misfiled|mislabel+ed"
    r"|interchang\w*|mixed[\s-]up|mix-?ups?|swapped|incorrect\w*|retraction\sof\s(?:the\s|this\s)?report|strike\s(?:that|above)"
    r"|wrong(?:ly)?|should\s(?:read|say|state|have\s(?:read|said|been))|(?:other|another|different)\spatients?"
    r"|not\s(?:of\s|for\s)?(?:this|the\ssame)\spatient"
    r"|nachtrag\w*|nachträg\w*|berichtig\w*|korrektur\w*|korrigier\w*|irrtüml\w*|irrtum|fehlerhaft\w*|verwechs\w*|vertauscht\w*"
    r"|falsche[nrs]?|(?:andere[nrs]?|nicht\sdiese[rs]?)\spatient\w*|richtig\s(?:ist|muss|wäre)|muss\s(?:richtig\s)?(?:heißen|lauten)"
    r"|(?:i|we)\s(?:disagree|do\snot\sagree)|stimme\w*\s(?:\w+\s){0,3}nicht\szu|nicht\seinverstanden|komt\ste\svervallen|niet\smee\seens"
    r"|aanvulling\w*|addenda|correctie\w*|gecorrigeerd\w*|rectificatie\w*|verkeerd\w*|verwissel\w*|omgewissel\w*|onjuist\w*|abusievelijk"
    r"|andere\spatiënt\w*|moet\s(?:luiden|zijn)"
    rf"|{_WITHDRAWN}\s(?:\w+\s){{0,2}}{_DOCUMENT}"
    rf"|{_DOCUMENT}[\s:]{{1,2}}(?:(?:is|was|has|been|hereby|now|wurde|wird|ist|hiermit|werd|wordt|de|the|above|below|previous)\s){{0,4}}{_WITHDRAWN}"
    rf"|{_SIDED}\W(?:\w+\W){{0,4}}(?:switched|reversed|transposed|confused|exchanged|inverted|gewechselt|verdreht)"
    r"|(?:^|(?<=\n)|(?<=[.:!]\s))(?:retracted|withdrawn|cancel+ed|superseded|revised|updated|storniert|widerrufen|ingetrokken)"
    r"(?=\s*[.:!]))(?!\w)",
    re.IGNORECASE,
)
_NOT_FINAL = re.compile(
    r"(?<!\w)(?:prelim(?:inary)?|provisional|draft|unsigned|not\s(?:yet\s)?(?:signed|final|verified|validated)|vorläufig\w*|entwurf\w*"
    r"|unsigniert|(?:noch\s)?nicht\s(?:freigegeben|vidiert|validiert|final)|voorlopig\w*|concept(?:verslag)?|ongetekend"
    r"|niet\s(?:geautoriseerd|definitief|getekend))(?!\w)",
    re.IGNORECASE,
)
_UNNAMED = re.compile(
    r"\b(?:acr|(?:final|overall)\sassessment|assessment(?=:)|categor(?:y|ie)|kategorie|cat\.?|kat\.?|klasse|class|[ghnv]i-?rads)"
    r"[\s:=()-]{0,4}(?:[0-6][abc]?|(?-i:III|II|IV|VI|V|I))\b",
    re.IGNORECASE,
)
_OTHER_RADS = re.compile(r"(?<![a-z])(?!bi|[ghnv]i)[a-z]{1,6}[\s-]?rads[\s:,-]{0,3}$", re.IGNORECASE)
_OF_BREASTS = re.compile(rf"\b(?:{_BREAST})\b|\bmammo|\bMG\b", re.IGNORECASE)
_UNREAD_LANGUAGE = re.compile(
    r"\b(?:droite?s?|gauches?|derech[oa]s?|izquierd[oa]s?|destr[oa]|sinistr[oa]|direit[oa]s?|esquerd[oa]s?"
    r"|högra?|vänstra?|højre|venstre|høyre|praw(?:a|ej|ą|e|y)|lew(?:a|ej|ą|e|y)|prav(?:ý|á|é|ého|ém)|lev(?:ý|á|é|ého|ém)"
    r"|oikea\w*|vasen|vasemma\w*|sağ|sol|kanan|kiri|phải|trái|stâng\w*|drea?pt\w*|jobb|bal|lije?v[aoeiu]\w{0,2}|desn\w*"
    r"|dešin\w*|kairė\w*|labā|kreisā|parem|vasak\w*"
    r"|sinister|dext(?:er|ra|ro)|izq|dcha|gche|dte|(?:mamma?|mama)\s(?:dx|sx|sin|dxt?|[DIGE])"
    r"|seins|sein\s[DG]|senos?|mamas?|mamelles?|memed?e?|dojk\w*|prs[ůuy]?|emlő\w*|payudara|vú|krūt\w*"
    r"|bröst\w*|bryst\w*|rinta\w*"
    r"|bilatéra\w+|bilaterale|côtés|ambas?|ambos|entrambe|obustronn\w+|oboustrann\w+|molemm\w+"
    r"|pier[sś]\w*|sân\w*|aucune?|senza|ningun[oa]?|não|ingen|inget|ikke|inte|eikä?|brak)\b",
    re.IGNORECASE,
)
_LETTERS_NOT_READ = re.compile(r"(?!['äöüßéèêëïçáóàâîôûµªº])[^\W\d_a-zA-Z]", re.IGNORECASE)
"""Letters that supported languages do not use in lower-case words; a name ("Kovač") may have any Latin letter."""
_SIDES: dict[str, Sides] = {
    "left": (Laterality.LEFT,),
    "right": (Laterality.RIGHT,),
    "both": (Laterality.LEFT, Laterality.RIGHT),
}
_CATEGORIES = {category.value: category for category in Category if category is not Category.ONE_OR_TWO}
_ARABIC = {"III": "3", "II": "2", "IV": "4", "VI": "6", "V": "5", "I": "1"}


@dataclass(frozen=True)
class Token:
    """A word or punctuation mark. `at`: the index of its first character in the text."""

    kind: str
    text: str
    at: int

    @property
    def sides(self) -> Sides:
        """The breasts that the token names."""
        return _SIDES.get(self.kind.lower(), ())


def plain(text: str) -> str:
    """The text with one kind of hyphen and line end, without invisible characters, each line stripped."""
    return "\n".join(line.strip() for line in text.translate(_PLAIN).split("\n"))


def tokens(text: str) -> Iterator[Token]:
    """The tokens of plain text."""
    return (Token(found.lastgroup or "other", found[0], found.start()) for found in _TOKEN.finditer(text))


def unnamed(text: str) -> bool:
    """Whether a text may have a BI-RADS category without that word ("ACR 4", "Cat. 4a", "category: 4"). A density is
    not one ("Brustdichte ACR 2")."""
    text = re.sub(_MEASURED, " ", text, flags=re.IGNORECASE)
    return any(
        not _OTHER_RADS.search(text[max(0, match.start() - 12) : match.start()]) for match in _UNNAMED.finditer(text)
    )


def corrects(text: str) -> bool:
    """Whether a text corrects, amends or withdraws a report, this or another one. "Retracted" counts only for a report
    ("nipple retracted" is a finding)."""
    return _CORRECTS.search(plain(text)) is not None


def not_final(text: str) -> bool:
    """Whether a text says that it is preliminary, a draft or not signed."""
    return _NOT_FINAL.search(plain(text)) is not None


def about_breasts(text: str) -> bool:
    """Whether a text mentions breasts or mammography."""
    return _OF_BREASTS.search(text) is not None


def is_in_supported_language(text: str) -> bool:
    """Whether a text has no sign of another language than English, German and Dutch: no foreign word for a side, breast
    or negation, no other alphabet than Latin and Greek, and letters of other languages only in names."""
    letters = {letter for letter in text if letter > "\x7f" and letter.isalpha()}
    if _UNREAD_LANGUAGE.search(text) or any(
        _LETTERS_NOT_READ.search(word) for word in text.split() if word[0].islower()
    ):
        return False
    return all(unicodedata.name(letter, "").startswith(_SCRIPTS) for letter in letters)


def doubtful(several: Iterable[Token]) -> bool:
    """Whether one of the tokens is a negation, or about the past, a change, a condition, another person, another
    hospital, a machine or the reason for the exam."""
    return any(token.kind in ("former", "doubt") for token in several)


def names_former_year(several: Iterable[Token], exam_year: int | None) -> bool:
    """Whether one of the tokens is a bare year before that of the exam; any year if that is not known (None)."""
    return any(token.kind == "year" and (exam_year is None or int(token.text) < exam_year) for token in several)


def category_of(matched: str) -> Category:
    """The category of a text that CATEGORY matches."""
    plain = "".join(matched.split()).upper()
    roman = re.match("[IV]+", plain)
    return _CATEGORIES[_ARABIC[roman[0]] + plain[roman.end() :] if roman else plain]
