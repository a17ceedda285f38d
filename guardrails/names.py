"""People and organisations found by rules: a title, an introduction, a known given name, a legal form.

Rules find the names that a text introduces and miss those that it takes for granted; `ner.py` reads the
sentence. Words that are names and something else as often (Mark, Will, Paris) stand in no list here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from guardrails.nearby import CAPITALS

NameKind = Literal["person", "organisation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """`text[start:end]` names somebody."""

    kind: NameKind
    start: int
    end: int


#: Finds names in a text, in no order; overlaps are the caller's to settle.
Names = Callable[[str], Iterable[Name]]

#: No longer than names are: an endless one would be tried from each of its letters.
_WORD = rf"(?<!\w)[{CAPITALS}][^\W\d_]{{0,30}}(?:['’-][^\W\d_]{{1,30}}){{0,3}}"
_PARTICLE = (
    r"(?:van|von|de|del|della|di|da|dos|du|der|den|ten|ter|la|le|bin|ibn|al|el|y|zu|af|av|Mc|Mac|O['’])"
)
#: A surname with what may stand before it: "van der Berg", "P. Sedláčková", "R Montez".
_SURNAME = rf"(?:[{CAPITALS}]\.?[ ])?(?:{_PARTICLE}[ ]){{0,2}}{_WORD}"
_FULL = rf"{_WORD}(?:[ ]{_SURNAME}){{0,2}}"
_TITLES = (
    r"(?:(?i:mr|mrs|ms|miss|mx|dr|prof|professor)|Sir|Dame|Herr|Frau|Mme|Madame|Monsieur|Señora?|Rev|Capt|Lt"
    r"|Sgt|Col)\b\.?[ ]"
)
_TITLE = re.compile(rf"(?<!\w){_TITLES}(?P<name>{_FULL})")
_INTRODUCED = re.compile(
    rf"(?:(?i:\b(?:my name is|my name's|name is|names? on (?:the|my) (?:account|card)(?: is)?|called|call me"
    rf"|named|speaking with|speak (?:to|with)|on behalf of|signed by|written by|directed by"
    rf"|sung by|authored by"
    rf"|attention|attn|dear|regards|sincerely|yours truly|cheers|change it to|correct it to|beneficiary"
    rf"|my (?:wife|husband|son|daughter|kid|brother|sister|friend|boss|colleague|mother"
    rf"|father))[:,]?)\s{{1,3}}"
    rf"|(?m:^)[>?\s]{{0,6}}(?i:(?:full |first |last |sur)?name|contact|patient|employee|customer"
    rf"|applicant|user"
    rf"|author|manager|assistant)\s?:\s{{1,4}})(?:{_TITLES})?(?P<name>{_FULL})(?=[^\w]|$)"
)
#: "I'm Jane Roe", not "I'm American": two words, or a known given name.
_SELF = re.compile(rf"\b(?:I['’]?m|I am|[Tt]his is|[Ii]t['’]?s)[ ](?P<name>{_WORD}[ ]{_SURNAME})")
#: A given name, an initial and a surname.
_MIDDLE = re.compile(rf"(?<![\w.])(?P<given>{_WORD})[ ][{CAPITALS}]\.?[ ](?P<last>{_WORD})(?!\w)")
_CAPITALISED = re.compile(rf"(?<![\w@.'’-])(?P<name>{_WORD}(?:[ ]{_SURNAME}){{0,2}})(?!\w)")
#: Before a given name they make a town of it: Santa Barbara, Monte Carlo.
_OF_TOWNS = frozenset({"San", "Santa", "Saint", "Monte"})
#: A line of two to four words right above an address or under a greeting's end: as on an envelope.
_ENVELOPE = re.compile(
    rf"(?m)^[>?\s]{{0,6}}(?=[^\n]*[a-z])(?P<name>{_WORD}(?:[ ]{_SURNAME}){{1,2}})[ ]*\n[>?\s]*"
    rf"(?=[1-9]\d{{0,5}}[ ](?:\d{{1,5}}[ ])?[{CAPITALS}][^\n]{{1,40}}?[ ]"
    r"(?:\d{1,4}\b|(?:Street|St|Road|Rd|Avenue|Ave|Lane|Drive|Court|Way)\b)|PSC[ ]|Unit[ ]\d|USS?[A-Z]*[ ])"
)
#: Words that begin a sentence or a label and are nobody's name.
COMMON = frozenset(
    """Who What Why How Where Which Stock A An The This That These Those It Its He She They We You I
    My Your His Her Our Their In On At By For From With To Of And Or But If When While After Before
    Since As Is Are Was Were Be Been No Not Yes All Any Some Each Every Both Most More Other Another
    New Old First Second Third Last Next One Two Three Four Five Please Thank Thanks Hello Hi Dear See
    Note Table Figure Section Chapter Part Article Appendix Annex Exhibit Schedule Form Item Page Step
    Stage Phase Level Class Type Group Grade Series Vitamin Hepatitis Plan Title Act Rule Option Model
    Version Unit Zone Area Block Line Room Floor Box Team Company Sir Madam Customer User Bot Support
    Service Manager Director President Chief Officer Board Monday Tuesday Wednesday Thursday Friday
    Saturday Sunday January February March April May June July August September October November
    December North South East West Northern Southern Eastern Western Central American British English
    French German Spanish Italian Dutch European Chinese Japanese Russian Indian Street Avenue Road
    Park City State County University College School Hospital Bank Church Court Participant Employee
    Employer Beneficiary Award Guarantor Issuer Holder Trustee Spouse Retirement Pension Annuity Date
    Statement Statements Filer Insert Remove Press Open Close Turn Reference Member""".split()  # noqa: SIM905
)
NO_SURNAME = frozenset(
    """Inc Inc. LLC Ltd Corp Corporation Company Co Group Holdings Bank University College Institute
    Foundation Street Avenue Road Lane Drive Boulevard Square Park Airport Island Islands River Lake
    Mountain County City Prize Award Medal Act Law Cup Stadium Center Centre Hospital School Museum
    Library Theorem Method Test Model Algorithm Distribution Process Equation Function Transform Code
    Report Study Survey Index Score Syndrome Disease Effect Bridge House Hall Tower Building
    Station""".split()  # noqa: SIM905
)
_LEGAL = (
    r"(?:Inc|Incorporated|LLC|L\.L\.C|Ltd|Limited|Corp|Corporation|PLC|plc|GmbH|mbH|AG|KG|S\.A|SAS|SARL|S\.p\.A|SpA"
    r"|S\.r\.l|B\.V|N\.V|BV|NV|AB|A/S|ASA|Oyj?|LLP|L\.P|Pty|Bros|Holdings|Associates|Bancorp|Bancshares)"
)
_ORGANISATION = re.compile(
    rf"(?<![\w&])(?:[{CAPITALS}][\w.&'’-]{{0,30}},?[ ](?:(?:&|and|of|de|the)[ ])?){{1,5}}{_LEGAL}\b\.?"
)


def by_rules(text: str) -> Iterator[Name]:
    """Find people and organisations that the text itself introduces."""
    for match in _ORGANISATION.finditer(text):
        yield Name(kind="organisation", start=match.start(), end=match.end())
    for pattern in (_TITLE, _INTRODUCED):
        for match in pattern.finditer(text):
            yield from _person(match, "name")
    for match in _SELF.finditer(text):
        yield from (name for name in _person(match, "name") if " " in text[name.start : name.end])
    for match in _MIDDLE.finditer(text):
        if (
            not {match["given"], match["last"]} & (COMMON | NO_SURNAME)
            and _is_word(match["last"])
            and not match["given"].endswith(("'s", "’s"))
        ):
            yield Name(kind="person", start=match.start(), end=match.end())
    for match in _ENVELOPE.finditer(text):
        yield from _person(match, "name")
    yield from _known(text)


def _known(text: str) -> Iterator[Name]:
    """Find known given names, each with the words after it that can be its surname."""
    for match in _CAPITALISED.finditer(text):
        at, words = match.start("name"), match["name"].split(" ")
        first = next((i for i, word in enumerate(words) if word.split("-")[0] in GIVEN), None)
        if first is None or (first and words[first - 1] in _OF_TOWNS):
            continue
        start = at + sum(len(word) + 1 for word in words[:first])
        end = _until(words[first:], start)
        yield Name(kind="person", start=start, end=end)


def _person(match: re.Match[str], group: str) -> Iterator[Name]:
    """Yield the name up to the first word that is none."""
    words = match[group].split(" ")
    if words[0] in COMMON:
        return
    yield Name(kind="person", start=match.start(group), end=_until(words, match.start(group)))


def _until(words: list[str], start: int) -> int:
    """Return where a name ends that starts at `start`: before the first word that cannot be of it."""
    kept, last = len(words[0]), words[0]
    length = kept
    for word in words[1:]:
        length += 1 + len(word)
        if word in COMMON or word in NO_SURNAME:
            break
        # A particle or an initial is of the name only if a surname follows.
        if len(word.rstrip(".")) > 1 and word[0].isupper():
            kept, last = length, word
    return start + kept - (2 if last.endswith(("'s", "’s")) else 0)


def _is_word(text: str) -> bool:
    return len(text) > 2 and not text.isupper()


#: Given names of many countries that are little else, made for this file; none of them is a town or a month.
GIVEN = frozenset(
    """Aaron Abdul Abigail Adam Adele Adrian Adriana Agnes Agnieszka Ahmed Aiden Aisha Akira Alain Alan
    Alana Albert Alberto Alejandra Alejandro Aleksander Aleksandra Alessandra Alessandro Alexander
    Alexandra Alexandre Alfonso Alfred Alfredo Alice Alicia Alina Alison Allan Allison Alma Amanda Amelia
    Amelie Amina Amy Ana Anastasia Anders Andrea Andreas Andrei Andrew Andrzej Angela Angelica Angelika
    Angelina Anika Anita Anja Anna Anne Anneli Annette Annika Anthony Antoine Anton Antonia Antonio Anya
    Archie Ariana Arjun Arne Arnold Arthur Arturo Ashley Astrid Audrey Augusto Aurora Ayesha Barbara
    Bartosz Beatrice Beatriz Ben Benedict Benjamin Bernard Bernd Beth Bethany Betty Bianca Birgit Bjarne
    Björn Blanca Boris Brandon Brenda Brendan Brian Bridget Brigitte Britta Brooke Bruno Bryan Bryce
    Callum Camilla Camille Carina Carla Carlo Carlos Carmen Carol Caroline Catalina Catarina Catherine
    Cecilia Cedric Celia Chantal Charles Charlie Chiara Chloe Chris Christa Christina Christine Christophe
    Christopher Claire Clara Claudia Claus Clement Colin Connor Constance Cristian Cristina Cynthia
    Daisuke Damian Daniel Daniela Daniele Danielle Darren Dave David Davide Deborah Delphine Denise Dennis
    Derek Diana Diane Diego Dieter Dimitri Dmitri Dolores Dominic Dominik Dominique Donald Donna Doris
    Dorothy Douglas Duncan Dylan Ebba Edgar Edith Eduardo Edward Edwin Eileen Elaine Eleanor Elena Elias
    Elin Elisa Elisabeth Elise Elizabeth Ella Ellen Elliot Elsa Emil Emilia Emilie Emily Emma Emmanuel
    Enrico Enrique Eric Erica Erik Erika Erin Ernesto Ernst Esther Ethan Eugene Eva Evan Evelyn Ewa Fabian
    Fabio Fatima Federica Federico Felicity Felipe Felix Fernanda Fernando Filip Filippo Fiona Florian
    Frances Francesca Francesco Francine Francis Francisca Francisco Franck Franz Fred Freda Frederic
    Frederick Frederik Freja Frida Friedrich Gabriel Gabriela Gabriella Gareth Gary Gemma Geoffrey Georg
    George Gerald Gerard Gerhard Gertrude Gianluca Gilbert Gina Giorgio Giovanna Giovanni Giulia Giuseppe
    Gloria Gordon Graham Greg Gregor Gregory Greta Guido Guillaume Gunnar Gustav Hanna Hannah Hannes Hans
    Harald Harriet Harry Hassan Heather Hector Heidi Heinrich Heinz Helen Helena Helene Helga Helmut Henri
    Henrik Henry Herbert Hermann Hilda Hiroshi Holger Horst Howard Hugh Hugo Ian Ibrahim Ida Ines Inga
    Ingeborg Ingrid Irena Irene Irina Isaac Isabel Isabella Isabelle Ivan Ivana Jacek Jack Jacob
    Jacqueline Jacques Jakob Jakub James Jamie Jan Jana Jane Janet Janice Janina Jarosław Jason Javier
    Jeff Jeffrey Jelena Jennifer Jenny Jens Jeremy Jerome Jerzy Jessica Jill Jim Jiro Joan Joanna Joanne
    Joao João Joe Joel Johan Johann Johanna Johannes John Johnny Jon Jonas Jonathan Jorge Jose José Josef
    Joseph Josephine Joshua Juan Juana Judith Julia Julian Juliana Julie Juliette Julio Jürgen Justin
    Justyna Kaitlyn Karen Karin Karina Karl Karla Karolina Katarina Katarzyna Kate Katharina Katherine
    Kathleen Kathryn Kathy Katja Katrin Kazuo Keiko Keith Kelly Ken Kenji Kenneth Kevin Kim Kirsten Klaus
    Konrad Kristian Kristina Kristin Kristine Krzysztof Kurt Kyle Larissa Lars Laszlo László Laura Lauren
    Laurence Laurent Lea Leah Lena Leo Leon Leonard Leonardo Leonie Leticia Lewis Liam Lilian Lillian Lina
    Linda Linnea Linus Lisa Liv Livia Ljubica Logan Lorena Lorenzo Lotte Louis Louisa Louise Luca Lucas
    Lucia Luciano Lucie Lucy Ludwig Luigi Luis Luisa Lukas Lydia Łukasz Maarten Maciej Maddalena Madeleine
    Magdalena Magnus Malcolm Malgorzata Małgorzata Manfred Manuel Manuela Marc Marcel Marcello Marcin
    Marco Marcus Marek Margaret Margarita Margit Margot Maria María Mariana Marianne Marie Marija Marina
    Mario Marion Marisa Marius Marjorie Marko Markus Marlene Marta Martha Martin Martina Mary Marzena
    Massimo Mateo Mateusz Mathias Mathieu Mathilde Matilda Matteo Matthew Matthias Maureen Maurice
    Mauricio Maurizio Megan Mehmet Melanie Melissa Mia Michael Michaela Michal Michał Michel Michele
    Michelle Miguel Mikael Mike Mikhail Mila Milan Miles Milena Miriam Mohamed Mohammad Mohammed Moira
    Monica Monika Monique Moritz Muhammad Mustafa Myriam Nadia Nadine Naomi Natalia Natalie Natasha Nathan
    Nathalie Neil Nelly Niamh Nicholas Nick Nicolas Nicole Niels Nigel Nikita Nikola Nikolai Nils Nina
    Noah Noemi Nora Norbert Norman Nuria Olaf Ole Oleg Olga Oliver Olivia Olivier Omar Oscar Oskar Otto
    Owen Pablo Pamela Paola Paolo Pascal Patricia Patrick Patrik Patrizia Paul Paula Pauline Pavel Pawel
    Paweł Pedro Peter Petra Philip Philipp Philippe Phillip Pierre Pietro Pilar Piotr Priya Rachel Rafael
    Rainer Rajesh Ralf Ralph Ramon Raphael Raquel Rasmus Raul Ravi Raymond Rebecca Regina Reinhard Renata
    Rene René Ricardo Riccardo Richard Rita Robert Roberta Roberto Rodrigo Roger Roland Rolf Roman Ronald
    Rosa Rosalie Rosemary Ruben Rudolf Rupert Ruth Ryan Sabine Sabrina Salvatore Samantha Samir Samuel
    Sandra Sanjay Sara Sarah Saskia Scott Sean Sebastian Serena Sergei Sergey Sergio Shannon Sharon Sheila
    Shirley Sigrid Silke Silvia Simon Simona Simone Sofia Sofie Solveig Sonia Sonja Sophia Sophie Stacey
    Stefan Stefania Stefano Stella Stephan Stephanie Stephen Steve Steven Stuart Sunita Susan Susana
    Susanna Susanne Suzanne Sven Svetlana Sylvia Sylvie Takashi Tamara Tania Tanja Tara Tatiana Teresa
    Terry Theo Theodor Theodore Theresa Therese Thierry Thomas Tim Timo Timothy Tina Tobias Todd Tomas
    Tomasz Tommy Toni Tony Torsten Tracy Trevor Ulrich Ulrike Ursula Uwe Valentina Valeria Valerie Vanessa
    Vera Verena Veronica Veronika Vicente Viktor Viktoria Vincent Vincenzo Viola Vivian Vladimir Walter
    Wanda Wendy Werner Wilhelm William Willem Wojciech Wolfgang Xavier Yannick Yasmin Yolanda Yuki Yusuf
    Yves Yvonne Zachary Zofia Zoe Alex Andy Annie Barry Becky Bob Bobby Cathy Cindy Danny Debbie Eddie
    Freddie Freddy Geoff Jackie Jake Jerry Jimmy Josh Judy Katie Larry Lenny Luke Maggie Mandy Matt Mickey
    Molly Nancy Nicky Pam Patty Pete Phil Randy Rick Ricky Rob Robbie Ron Ronnie Sally Sam Susie Ted Toby
    Tom Vicky Wayne Zach""".split()  # noqa: SIM905
)
