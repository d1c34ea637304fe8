# SPDX-License-Identifier: Apache-2.0
"""Where C++ and CUDA text can be changed by one small fault, found by regular expressions.

The sources are formatted by clang-format, and that is what makes expressions enough: a binary operator has a space on
both sides, a pointer, a reference or a template bracket has not. What is no computation (comments, strings,
preprocessor lines, template headers, static_assert, the texts of errors) is masked first, by spaces of the same length.
"""

import dataclasses
import hashlib
import re

CLASSES = ("arithmetic", "relational", "logical", "constant", "bound", "dropped", "swapped")


@dataclasses.dataclass(frozen=True)
class Site:
    path: str
    start: int  # text[start:end] becomes `new`
    end: int
    new: str
    kind: str  # one of CLASSES
    line: int  # from 1
    id: str  # of path, text of the line, column in it and `new`: it outlives edits of other lines
    before: str  # the line, and what it becomes
    after: str

    def apply(self, text):
        return text[: self.start] + self.new + text[self.end :]


# ---------------------------------------------------------------- what is masked


def _blank(text, start, end):
    return text[:start] + re.sub(r"[^\n]", " ", text[start:end]) + text[end:]


def closing(text, at):
    """The index after the bracket that closes the one at `at`; the end of the text if none does."""
    pairs = {"(": ")", "[": "]", "{": "}"}
    depth, opener, closer = 0, text[at], pairs[text[at]]
    for i in range(at, len(text)):
        if text[i] == opener:
            depth += 1
        elif text[i] == closer:
            depth -= 1
            if depth == 0:
                return i + 1
    return len(text)


def _closing_angle(text, at):
    depth = 0
    for i in range(at, len(text)):
        if text[i] == "<":
            depth += 1
        elif text[i] == ">" and text[i - 1] != "-":
            depth -= 1
            if depth == 0:
                return i + 1
    return len(text)


_LITERALS = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"([^(\s]*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<![0-9A-Za-z_])\'(?:\\.|[^\'\\\n])+\'', re.S
)
_PREPROCESSOR = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.M)
# Refusals and their texts: what is asked before them remains. `require(condition, text)` keeps its condition.
_TEXT_CALLS = re.compile(r"\b(?:refuse|fail|to_string|static_assert|__launch_bounds__|alignas|assert)\(")


def mask(text):
    """`text` with spaces for everything that is no computation; line breaks and positions stay."""
    for match in list(_LITERALS.finditer(text)):
        text = _blank(text, *match.span())
    for match in list(_PREPROCESSOR.finditer(text)):
        text = _blank(text, *match.span())
    for match in list(re.finditer(r"\btemplate <", text)):
        text = _blank(text, match.start(), _closing_angle(text, match.end() - 1))
    for match in list(re.finditer(r"\bthrow\b[^;]*;", text)):
        text = _blank(text, *match.span())
    for match in list(_TEXT_CALLS.finditer(text)):
        if text[match.end() - 1] == "(":  # not inside of one that is masked
            text = _blank(text, match.end(), closing(text, match.end() - 1) - 1)
    for match in list(re.finditer(r"\brequire\(", text)):
        end = closing(text, match.end() - 1)
        comma = _comma(text, match.end(), end)
        text = _blank(text, comma, end - 1) if comma else text
    return text


def _comma(text, start, end):
    """The first comma of a list of arguments that stands in no bracket of its own."""
    i = start
    while i < end - 1:
        if text[i] in "([{":
            i = closing(text, i)
        elif text[i] == ",":
            return i
        else:
            i += 1
    return None


# ---------------------------------------------------------------- operands

_NAME = re.compile(r"[A-Za-z_]\w*(?:::[A-Za-z_]\w*)*")
_NUMBER = re.compile(r"(?:0[xX][0-9a-fA-F']+(?:p[-+]?\d+)?|\d[\d']*(?:\.\d*)?(?:[eE][-+]?\d+)?|\.\d+)\w*")


def operand(code, at):
    """The index after the operand that begins at `at` (spaces before it are skipped), or None."""
    while at < len(code) and code[at] in " \n-!~*&":
        at += 1
    if at >= len(code):
        return None
    if code[at] == "(":
        end = closing(code, at)
    elif match := _NUMBER.match(code, at):
        return match.end()
    elif match := _NAME.match(code, at):
        end = match.end()
    else:
        return None
    while end < len(code):
        if code[end] in "([{":
            end = closing(code, end)
        elif code[end] == "<" and code[end - 1] != " " and (angle := _closing_angle(code, end)) < len(code):
            if code[angle] not in "({:":
                return None
            end = angle
        elif match := re.compile(r"(?:\.|->|::)[A-Za-z_]\w*").match(code, end):
            end = match.end()
        else:
            return end
    return end


def term(code, at):
    """As `operand`, with the factors that follow."""
    end = operand(code, at)
    while end and (match := re.compile(r" [*/%]\s").match(code, end)):
        end = operand(code, match.end())
    return end


# ---------------------------------------------------------------- the faults: each yields (start, end, new)

_LEFT = r"(?<=[\w)\]}] )"  # an operand and a space
_TWIN = {"+": "-", "-": "+", "*": "/", "/": "*", "%": "*", "&": "|", "|": "&", "^": "&",
         "+=": "-=", "-=": "+=", "*=": "/=", "/=": "*=",
         "<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "&&": "||", "||": "&&"}  # fmt: skip


def _swap(pattern, code):
    for match in re.finditer(_LEFT + pattern + r"(?=\s)", code):
        yield match.start(), match.end(), _TWIN[match.group()]


def arithmetic(code):
    yield from _swap(r"(?:[-+*/]=|[-+*/%&|^])", code)


def relational(code):
    yield from _swap(r"(?:[<>=!]=|[<>])", code)


def logical(code):
    yield from _swap(r"(?:&&|\|\|)", code)
    for match in re.finditer(r"(?<=[( \n=])!(?=[\w(])", code):
        yield match.start(), match.end(), ""


def constant(code):
    for match in re.finditer(r"(?<![\w.'])" + _NUMBER.pattern + r"(?![\w.'])", code):
        for new in _other_numbers(match.group()):
            yield match.start(), match.end(), new
    for match in re.finditer(r"\b(?:true|false)\b", code):
        yield match.start(), match.end(), "false" if match.group() == "true" else "true"


def _other_numbers(text):
    match = re.fullmatch(r"(0[xX][0-9a-fA-F']+|\d[\d']*)([uUlL]*)", text)
    if match:
        digits, suffix = match.group(1).replace("'", ""), match.group(2)
        if digits[:2].lower() == "0x":
            return [f"0x{int(digits, 16) + 1:X}{suffix}"]
        value = int(digits)
        return [f"{other}{suffix}" for other in ([2, 0] if value == 1 else [value + 1])]
    if match := re.fullmatch(r"(\d+)(\.\d*)([fF]?)", text):
        return [f"{int(match.group(1)) + 1}{match.group(2)}{match.group(3)}"]
    return [f"({text} * 2)"]


def bound(code):
    for match in re.finditer(r"\bfor \(", code):
        end = closing(code, match.end() - 1) - 1
        parts = code[match.end() : end].split(";")
        if len(parts) != 3 or "&&" in parts[1] or "?" in parts[1]:
            continue
        limit = re.search(r"[\w)\]] (?:[<>]=?|!=)\s+", parts[1])
        if limit:
            start = match.end() + len(parts[0]) + 1 + limit.end()
            stop = match.end() + len(parts[0]) + 1 + len(parts[1])
            for other in (" - 1", " + 1"):
                yield start, stop, "(" + code[start:stop] + ")" + other
    for match in re.finditer(r"\bstd::(min|max)(?=[(<{])", code):
        yield match.start(1), match.end(1), "max" if match.group(1) == "min" else "min"


def dropped(code):
    for match in re.finditer(_LEFT + r"([-+*/])(?=\s)", code):
        end = term(code, match.end()) if match.group() in "+-" else operand(code, match.end())
        if end:
            yield match.start() - 1, end, ""


# Arguments of a type of their own: a compiler sees them swapped.
_ONE_OF_A_KIND = {"ctx", "tape", "lane", "tasks", "s", "t", "op", "shape", "weight", "noise", "options", "stream"}
_ARGUMENT = r"[A-Za-z_][\w.]*(?:->\w+)?(?:\[\w+\])?|\d+"


def swapped(code):
    # Two arguments, or two parts of a shape.
    for match in re.finditer(rf"(?<=[({{ ])(?=({_ARGUMENT}),(\s+)({_ARGUMENT})(?=[,)}}]))", code):
        first, second = match.group(1), match.group(3)
        if first == second or _ONE_OF_A_KIND & {first, second}:
            continue
        if _is_argument(code, match.start(1)):
            yield match.start(1), match.end(3), second + "," + match.group(2) + first
    # Row and column of an index.
    name = r"[A-Za-z_][\w.]*"
    for match in re.finditer(rf"(?<![\w.*/] )(?<![\w.])({name}) \* ([\w.]+) \+ ({name})(?![\w.(\[])", code):
        if match.group(1) != match.group(3):
            yield match.start(), match.end(), f"{match.group(3)} * {match.group(2)} + {match.group(1)}"


def _is_argument(code, at):
    """Whether an argument or a part of a shape begins here, whose order matters; no capture, declarator, or name."""
    opener, depth = at - 1, 0
    while opener >= 0 and (depth or code[opener] not in "([{"):
        if code[opener] == ";" and not depth:
            return False
        depth += (code[opener] in ")]}") - (code[opener] in "([{")
        opener -= 1
    if opener < 0 or code[opener] == "[" or code[:at].rstrip()[-1] not in "({,":
        return False
    return not re.search(r"(?:\bstd::(?:min|max)(?:<[\w:]+>)?|\benum\b[^;{]*)$", code[max(0, opener - 80) : opener])


# ---------------------------------------------------------------- sites of a file


def find(path, text):
    """All sites of a file, by position."""
    code = mask(text)
    starts = [0] + [match.end() for match in re.finditer(r"\n", text)]
    number, sites = 0, []
    lines, seen = text.split("\n"), {}
    ordinal = []  # how many lines of the same text stand above
    for line in lines:
        ordinal.append(seen.setdefault(line.strip(), 0))
        seen[line.strip()] += 1
    changes = sorted((*change, kind) for kind in CLASSES for change in globals()[kind](code))
    for start, end, new, kind in changes:
        while number + 1 < len(starts) and starts[number + 1] <= start:
            number += 1
        before = lines[number].strip()
        column = start - starts[number] - (len(lines[number]) - len(lines[number].lstrip()))
        after = (lines[number][: start - starts[number]] + new + text[end:].split("\n", 1)[0]).strip()
        new = _with_text(text, code, start, end, new)
        key = "\0".join((path, before, str(ordinal[number]), str(column), str(end - start), new))
        identity = hashlib.sha256(key.encode()).hexdigest()[:8]
        sites.append(Site(path, start, end, new, kind, number + 1, identity, before, " ".join(after.split())))
    return sites


def _with_text(text, code, start, end, new):
    """What a change keeps of the code, it keeps of the text: literals are masked in the code."""
    return new.replace(code[start:end], text[start:end]) if code[start:end] in new else new


def code_lines(text):
    return sum(1 for line in mask(text).split("\n") if re.search(r"\w", line))


def function_around(text, start):
    """The function, or its class, whose body holds `start`, or nothing."""
    code = mask(text)[:start]
    heads = [match.start() for match in re.finditer(r"^(?![ }#\n]|namespace|public:|private:)", code, re.M)]
    head = code[heads[-1] :].split("{", 1)[0] if heads else ""
    names = re.findall(r"([A-Za-z_]\w*)(?:::~?[A-Za-z_]\w*)?\(", head)
    names = [name for name in names if name not in ("__launch_bounds__", "__attribute__")]
    match = re.search(r"\b(?:struct|class|constexpr [\w:]+) (\w+)", head)
    return names[0] if names else match.group(1) if match else ""
