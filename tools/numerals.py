"""Numbers in the text of a chapter that nothing keeps true, and links that lead nowhere: a part of weave.py --check.

Numbers in what is woven may be named anywhere in the chapter, rounded (0.73 for 0.7311) or in percent (73% for 0.7311).
Free are words, what stands in code, links and headings, subscripts and exponents and one-digit whole numbers in
formulas, names (float32, AVX-512, 2D), numbers of chapters and exercises, years, and sections, tables and figures of
what is cited. Any other is explained at the end of the text:

    <!-- numbers
    512: d_model of the base model, Vaswani et al. 2017, table 3
    -->
"""
import re

ONE = r"\d+(?:\.\d+)*[a-z]?"
LIST = rf"{ONE}(?:(?:\s*[-–,]\s*(?:and\s+)?|\s+(?:and|to|or)\s+){ONE})*"
CITED = (r"sections?|sect?\.|§+|tables?|figures?|fig\.|equations?|eqs?\.|algorithms?|appendix|theorems?|pages?|pp?\.|"
         r"volumes?|vol\.")
FREE = [
    re.compile(r"^ {0,3}#+ .*$", re.M),  # headings
    re.compile(r"!?\[(?:[^\[\]]|\[[^\[\]]*\])*\]\([^()\s]*(?:\([^()]*\))?[^()]*\)"),  # links and images
    re.compile(r"<?https?://\S+|\barXiv:\S+|<[a-zA-Z/][^<>]*>", re.I),
    re.compile(r"^\s*\d+\.(?=\s)", re.M),  # numbered lists
    re.compile(rf"\bchapters?\s+{LIST}", re.I),
    re.compile(rf"\b(?:exercises?|tasks?)\s+{LIST}", re.I),
    re.compile(rf"(?:\b(?:{CITED})|§+)\s*{LIST}", re.I),
    re.compile(r"(?<![\w.,])(?:19[5-9]\d|20[0-2]\d)[a-z]?(?![\w%]|[.,]\d)"),  # years
    re.compile(r"\b[1-9]-?D\b"),
]
NUMBER = re.compile(r"(?<![\w.])(?<![A-Za-z]-)\d+(?:,\d{3})*(?:\.\d+)?(?:[eE][-+]?\d+)?(\s?%)?")
WOVEN_NUMBER = re.compile(r"\d+(?:,\d{3})+(?:\.\d+)?|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
POWER_OF_TEN = re.compile(r"(?:(\d+(?:\.\d+)?)\s*(?:\\cdot|\\times|×|·)\s*)?\b10\^(?:\{(-?\d+)\}|(\d))")
FORMULA = re.compile(r"^```math\n.*?^```$|\$\$.+?\$\$|(?<![\\\w$])\$(?!\s)(?:[^$\n\\]|\\.|\n(?!\s*\n))+?\$(?!\d)",
                     re.S | re.M)
FEWEST_WORDS, MOST_WORDS = 1500, 2500


def blank(match):
    """Spaces in its place, so that lines and columns stay."""
    return re.sub(r"[^\n]", " ", match if isinstance(match, str) else match[0])


def formula(match):
    """What of a formula counts: all but subscripts, exponents, one-digit numbers, and what commands are given."""
    def power(found):
        return f"{float(found[1] or 1) * 10.0 ** int(found[2] or found[3]):.12g}".ljust(len(found[0]))
    text = POWER_OF_TEN.sub(power, match[0])
    text = re.sub(r"\\(?:tag|hspace|vspace|phantom|label|color)\*?\{[^{}]*\}", blank, text)
    text = re.sub(r"[_^](?:\{(?:[^{}]|\{[^{}]*\})*\}|[^\s{\\])", blank, text)
    text = re.sub(r"(\\[dt]?frac)\d\d|\\[a-zA-Z]+", blank, text)
    return re.sub(r"\d+(?:,\d{3})*(?:\.\d+)?", lambda m: " " if len(m[0]) == 1 else m[0], text)


def without_code(text):
    # Blocks of mathematics are matched, too, and stay: else their ends would look like beginnings.
    text = re.sub(r"^(`{3,})([^\n]*)\n.*?^\1`*$", lambda m: m[0] if m[2].strip() == "math" else blank(m), text,
                  flags=re.S | re.M)
    return re.sub(r"(`+)(?!`)(?:(?!\n\s*\n).)+?(?<!`)\1(?!`)",
                  lambda m: m[0] if m[0].startswith("```math") else blank(m), text, flags=re.S)


def number(text):
    return float(text.rstrip("% ").replace(",", ""))


def stands_for(text, woven):
    """Whether this numeral is one of those numbers, perhaps rounded or in percent."""
    value, plain = number(text), text.rstrip("% ").replace(",", "")
    half = 0.0
    if "e" not in plain.lower() and len(plain) > 1:
        half = 0.5 * 10.0 ** -len(plain.partition(".")[2])
    for other in woven:
        for scale in (1, 100) if "%" in text else (1,):
            if abs(value - other * scale) <= half * (1 + 1e-9) + 1e-12 * abs(value):
                return True
    return False


def explained(text, problem):
    """The numerals of the comment at the end, with their lines."""
    result = {}
    comment = re.search(r"<!-- numbers *\n(.*?)-->", text, re.S)
    if comment:
        line = text[:comment.start()].count("\n")
        for row in comment[1].splitlines():
            line += 1
            found = re.match(r"([\d.,e+%-]+(?: [\d.,e+%-]+)*): *\S", row.strip())
            if found:
                result.update({numeral: line for numeral in found[1].split()})
            elif row.strip():
                problem(line, f'not of the form "512: where it comes from": {row.strip()}')
    return result


def own_exercises(folder):
    """Numbers of the exercises, and of the open question behind them."""
    source = folder / "exercises.cpp"
    text = source.read_text(encoding="utf-8") if source.exists() else ""
    chapter, count = int(folder.name[2:4]), len(set(re.findall(r"BEGIN SOLUTION (\S+)", text)))
    return re.compile(rf"(?<![\w.]){chapter}\.(?:{'|'.join(str(i) for i in range(1, count + 2))})(?![\w%]|\.\d)")


def anchors(text):
    """Those that GitHub gives headings."""
    pairs = zip(text.splitlines(), without_code(text).splitlines())
    headings = [line.lstrip("# ") for line, without in pairs if without.startswith("#")]
    plain = [re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower() for heading in headings]
    return [re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain]


def check_links(text, folder, problem):
    for found in re.finditer(r"\]\(([^()\s]+(?:\([^()]*\))?)[^()]*\)", without_code(text)):
        target, _, anchor = found[1].partition("#")
        line = text[:found.start()].count("\n")
        if re.match(r"[a-z]+:", target):
            continue
        path = folder / target if target else folder / "README.md"
        if path.is_dir() and anchor:
            path = path / "README.md"
        if not path.exists():
            problem(line, f"broken link: {found[1]}")
        elif anchor and path.suffix == ".md":
            if anchor not in anchors(path.read_text(encoding="utf-8")):
                problem(line, f"broken link: {found[1]}: there is no such heading")


def check(text, woven_text, folder):
    """`text` is that of the chapter with what is woven left empty. Returns problems (line, what) and warnings."""
    problems = []

    def problem(line, what):
        problems.append((line, what))

    check_links(text, folder, problem)
    known = explained(text, problem)
    prose = re.sub(r"<!--.*?-->", blank, without_code(text), flags=re.S)
    words = len(re.findall(r"[A-Za-z][\w'’-]*", FORMULA.sub(blank, prose)))
    prose = FORMULA.sub(formula, prose)
    for free in [*FREE, own_exercises(folder)]:
        prose = free.sub(blank, prose)
    woven = [number(found) for found in WOVEN_NUMBER.findall(woven_text)]
    values = {number(numeral) for numeral in known}
    seen, lines = set(), text.splitlines()
    for found in NUMBER.finditer(prose):
        value = number(found[0])
        seen.add(value)
        if value not in values and not stands_for(found[0], woven):
            line = prose[:found.start()].count("\n")
            column = found.start() - prose.rfind("\n", 0, found.start()) - 1
            around = lines[line][max(0, column - 30):column + 30].strip()
            problem(line, f'{found[0].strip()} is neither woven nor explained: "{around}"')
    for numeral, line in known.items():
        if number(numeral) not in seen:
            problem(line, f"{numeral} is explained but does not occur")
    warnings = []
    if not FEWEST_WORDS <= words <= MOST_WORDS:
        warnings.append(f"{words} words, not {FEWEST_WORDS} to {MOST_WORDS}")
    return sorted(problems, key=lambda problem: problem[0]), warnings
