#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Manual pages, made of what is there already: docs/*.md and, for wbctl(1), the commands that the
program itself tells (`wbctl completion tree`).

    man.py WBCTL VERSION DIRECTORY

Understands the Markdown that these files use, and no more: headings, paragraphs, lists, tables of
two to five columns, indented and fenced code, `code`, **bold**, *emphasis*, links.
"""

import json
import pathlib
import re
import subprocess
import sys

DOCS = pathlib.Path(__file__).resolve().parent
PAGES = ["wbctl.1", "accelerd.8", "accelerd.yaml.5", "boosterd.8", "boosterd.yaml.5"]
SEE_ALSO = {"wbctl.1": "accelerd (8), accelerd.yaml (5)", "accelerd.8": "wbctl (1), accelerd.yaml (5)",
            "accelerd.yaml.5": "accelerd (8), wbctl (1)", "boosterd.8": "wbctl (1), boosterd.yaml (5)",
            "boosterd.yaml.5": "boosterd (8), accelerd.yaml (5), wbctl (1)"}


# Text.

def escape(text):
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    return text.replace("^", "\\(ha").replace("~", "\\(ti")


def inline(text):
    """Fonts of man(7) in the place of marks of Markdown."""
    out = []
    for part in re.split(r"(`[^`]+`|\*\*[^*]+\*\*|(?<![\w*])\*[^*\s][^*]*\*|\[[^\]]+\]\([^)]+\))", text):
        if part.startswith("`") and len(part) > 1:
            out.append("\\fB" + escape(part[1:-1].replace("\\|", "|")) + "\\fP")
        elif part.startswith("**") and len(part) > 4:
            out.append("\\fB" + escape(part[2:-2]) + "\\fP")
        elif part.startswith("*") and len(part) > 2:
            out.append("\\fI" + escape(part[1:-1]) + "\\fP")
        elif part.startswith("[") and "](" in part:
            out.append(escape(part[1:part.index("](")]))
        else:
            out.append(escape(part.replace("\\|", "|")))
    line = "".join(out).strip()
    return "\\&" + line if line[:1] in ".'" or line.startswith("\\(aq") else line


def cells_of(line):
    parts = re.split(r"(?<!\\)\|", line.strip()[1:-1])
    return [part.strip() for part in parts]


def code_block(lines):
    return [".PP", ".RS 4", ".nf", *("\\&" + escape(line) for line in lines), ".fi", ".RE"]


def table(rows):
    """The first column is the term; of more than two, the others are named by their titles."""
    titles, out = rows[0], []
    for row in rows[1:]:
        out += [".TP", inline(row[0])]
        named = [f"{title}: {cell}" for title, cell in zip(titles[1:-1], row[1:-1]) if cell]
        if named:
            out += [inline("; ".join(named) + "."), ".br"]
        out.append(inline(row[-1]) or "\\&")
    return out


class Converter:
    def __init__(self, text, skip=()):
        self.lines = text.splitlines()
        self.skip = skip  # Titles of sections that are left out.
        self.out = []
        self.at = 0

    def take(self, pattern):
        taken = []
        while self.at < len(self.lines) and re.match(pattern, self.lines[self.at]):
            taken.append(self.lines[self.at])
            self.at += 1
        return taken

    def heading(self, line):
        level, title = len(line) - len(line.lstrip("#")), line.lstrip("# ")
        if level > 1 and title in self.skip:
            while self.at < len(self.lines) and not self.lines[self.at].startswith("#"):
                self.at += 1
        elif level > 1:
            self.out += [f".SH {title.upper()}" if level == 2 else f".SS {title}"]

    def item(self, line):
        mark = re.match(r"(\d+\.|[-*]) +", line)
        text = [line[mark.end():]]
        text += [more.strip() for more in self.take(r" +\S")]
        sign = "\\(bu" if mark[1] in "-*" else mark[1]
        self.out += [f".IP {sign} 3", inline(" ".join(text))]

    def fenced(self):
        start = self.at
        while not self.lines[self.at].startswith("```"):
            self.at += 1
        self.at += 1
        return self.lines[start:self.at - 1]

    def convert(self):
        while self.at < len(self.lines):
            line = self.lines[self.at]
            self.at += 1
            if line.startswith("#"):
                self.heading(line)
            elif line.startswith("```"):
                self.out += code_block(self.fenced())
            elif line.startswith("    "):
                code = [line] + self.take(r"    |$")
                while not code[-1].strip():
                    code.pop()
                self.out += code_block([text[4:] for text in code])
            elif line.startswith("|"):
                rows = [cells_of(row) for row in [line] + self.take(r"\|")]
                self.out += table([rows[0]] + rows[2:])
            elif re.match(r"(\d+\.|[-*]) +", line):
                self.item(line)
            elif line.strip():
                text = [line] + self.take(r"(?!#|\||    |```|\d+\. |[-*] )\S")
                self.out += [".PP", inline(" ".join(text))]
        return self.out


def sections_of(text):
    """What is under each heading of the second level; what is before the first, under ''."""
    parts = re.split(r"^## (.*)$", text, flags=re.M)
    return dict(zip(["", *parts[1::2]], parts[0::2]))


def page(name, version, description, body):
    base, section = name.rsplit(".", 1)
    lines = [f'.TH "{base.upper()}" "{section}" "" "Webbooster {version}" "Webbooster"', ".SH NAME",
             f"{escape(base)} \\- {escape(description)}", *body, ".SH SEE ALSO",
             ", ".join(re.sub(r"(\S+) \((\d)\)", lambda m: f"\\fB{escape(m[1])}\\fP({m[2]})", one)
                       for one in SEE_ALSO[name].split(", "))]
    return "\n".join(lines) + "\n"


# wbctl(1).

def leaves(command):
    if not command["commands"]:
        return [command]
    return [leaf for child in command["commands"] for leaf in leaves(child)]


def usage(command):
    words = [f"\\fBwbctl {escape(command['path'])}\\fP"]
    for option in command["options"]:
        if option["name"] != "--help":
            value = " \\fI" + escape(value_name(option)) + "\\fP" if option["takes_value"] else ""
            words.append(f"[\\fB{escape(option['name'])}\\fP{value}]")
    for p in command["positionals"]:
        name = f"\\fI{escape(p['name'])}\\fP" + ("..." if p["repeated"] else "")
        words.append(name if p["required"] else f"[{name}]")
    return " ".join(words)


def value_name(p):
    return "|".join(p["choices"]) or {"UINT": "N", "FLOAT": "S", "TEXT": "VALUE"}.get(p["kind"], p["kind"])


def option_lines(options):
    out = []
    for p in options:
        if p["name"] == "--help":
            continue
        value = f" \\fI{escape(value_name(p))}\\fP" if p["takes_value"] else ""
        default = f" (default: {p['default']})" if p["default"] else ""
        out += [".TP", f"\\fB{escape(p['name'])}\\fP{value}", inline(p["description"] + default)]
    return out


def documented_commands(text):
    """The meaning of each command, by its path: rows of the table of docs/wbctl.md."""
    found = {}
    for line in text.splitlines():
        if line.startswith("| `") and not line.startswith("| `-"):
            first, meaning = cells_of(line)[0], cells_of(line)[-1]
            for command in re.findall(r"`([a-z][^`]*)`", first):
                found[re.match(r"[a-z]+( (?!URL)[a-z]+(?![a-z\\|]))?", command)[0]] = meaning
    return found


def wbctl_page(wbctl, version):
    tree = json.loads(subprocess.run([wbctl, "completion", "tree"], check=True, text=True,
                                     capture_output=True).stdout)
    text = (DOCS / "wbctl.md").read_text()
    meanings = documented_commands(text)
    commands = []
    for leaf in leaves(tree):
        meaning = meanings.get(leaf["path"]) or meanings.get(leaf["path"].split()[0])
        if meaning is None:
            raise SystemExit(f"man.py: docs/wbctl.md has no row for `{leaf['path']}`")
        commands += [f".SS wbctl {escape(leaf['path'])}", usage(leaf), ".PP", inline(meaning[:1].upper()
                     + meaning[1:] + "."), *option_lines(leaf["options"])]
    intro, _, rest = text.partition("\n| option, ")
    _, _, rest = rest.partition("\nExit codes:\n")
    return page("wbctl.1", version, "controls the Webbooster accelerator", [
        ".SH SYNOPSIS", "\\fBwbctl\\fP [\\fIOPTIONS\\fP] \\fICOMMAND\\fP ...",
        ".SH DESCRIPTION", *Converter(intro).convert(), ".SH OPTIONS", "Before or after the command:",
        *global_options(text), ".SH COMMANDS", *commands, ".SH EXIT STATUS", *Converter(rest).convert()])


def global_options(text):
    rows = [cells_of(line) for line in text.splitlines() if line.startswith("| `--")]
    return table([["", ""]] + rows)


def halves(text):
    """Of OPERATIONS.md: what is about accelerd, and about boosterd."""
    return text.split("\n# Operating boosterd\n")


def boosterd_page(version):
    text = halves((DOCS / "OPERATIONS.md").read_text())[1].replace("## boosterd: ", "## ")
    return page("boosterd.8", version, "the web booster of Webbooster", [
        ".SH SYNOPSIS", "\\fBboosterd\\fP [\\fB\\-\\-config\\fP \\fIFILE\\fP] [\\fB\\-\\-check\\fP]",
        ".SH OPTIONS", *table([["", ""],
                               ["`--config` *FILE*", "configuration, `/etc/webbooster/boosterd.yaml` "
                                "unless told"],
                               ["`--check`", "only check the configuration: exit 0 when it is good, 1 "
                                "when not"],
                               ["`--version`", "print the version"]]),
        *Converter(text).convert()])


def accelerd_page(version):
    text = halves((DOCS / "OPERATIONS.md").read_text())[0]
    return page("accelerd.8", version, "the control daemon of Webbooster's origin accelerator", [
        ".SH SYNOPSIS", "\\fBaccelerd\\fP [\\fB\\-\\-config\\fP \\fIFILE\\fP] [\\fB\\-\\-check\\fP]",
        ".SH OPTIONS", *table([["", ""],
                               ["`--config` *FILE*", "configuration, `/etc/webbooster/accelerd.yaml` "
                                "unless told; see accelerd.yaml(5)"],
                               ["`--check`", "only check the configuration: exit 0 when it is good, 1 "
                                "when not"],
                               ["`--version`", "print the version"]]),
        *Converter(text).convert()])


def yaml_page(version, daemon):
    parts = re.split(r"^# Configuration of (\w+)\n", (DOCS / "CONFIGURATION.md").read_text(), flags=re.M)
    text = dict(zip(parts[1::2], parts[2::2]))[daemon]
    intro = sections_of(text)[""]
    return page(f"{daemon}.yaml.5", version, f"configuration of {daemon}", [
        ".SH DESCRIPTION", *Converter(intro).convert(), *Converter(text[len(intro):]).convert()])


def main():
    wbctl, version, directory = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
    directory.mkdir(parents=True, exist_ok=True)
    texts = [wbctl_page(wbctl, version), accelerd_page(version), yaml_page(version, "accelerd"),
             boosterd_page(version), yaml_page(version, "boosterd")]
    for name, text in zip(PAGES, texts):
        # groff's own letters for what is not ASCII; every page is plain ASCII then.
        plain = "".join(c if ord(c) < 128 else f"\\[u{ord(c):04X}]" for c in text)
        (directory / name).write_text(plain)


if __name__ == "__main__":
    main()
