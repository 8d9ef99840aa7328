"""Writes what Python's jinja2 makes of templates, as transformers sets it up: rendered.json and features.json.

    python make.py ../../../../shared/data/chat-templates

rendered.json gets SHA-256 (12 digits) of real templates' texts, features.json the texts of its own small templates.
A chat that a template refuses, or that it writes without the user's words, has no entry in rendered.json.
"""

import datetime
import hashlib
import json
import pathlib
import sys

import jinja2
import transformers
from transformers.utils.chat_template_utils import _compile_jinja_template

# The test sets its clock to the same local time.
now = datetime.datetime(2026, 1, 5, 14, 3, 9)

here = pathlib.Path(__file__).parent


def read(name):
    return json.loads((here / name).read_text("utf8"))


def write(name, value):
    text = json.dumps(value, ensure_ascii=False, indent=1)
    (here / name).write_text(text + "\n", "utf8")


def parts(messages):
    return [
        {**m, "content": [{"type": "text", "text": m["content"]}]} if isinstance(m.get("content"), str) else m
        for m in messages
    ]


def chat_text(source, chat, special):
    """The first form of the messages that is written whole: content as text, then as parts."""
    asked = [m["content"].strip() for m in chat["messages"] if m["role"] == "user"][-1]
    for messages in (chat["messages"], parts(chat["messages"])):
        try:
            text = _compile_jinja_template(source).render(
                messages=messages,
                tools=chat["tools"] or None,
                documents=None,
                strftime_now=now.strftime,
                add_generation_prompt=chat["addGenerationPrompt"],
                **chat.get("variables", {}),
                **special,
            )
        except Exception:
            continue
        if asked in text:
            return text
    return None


def real_templates(folder):
    made = read("rendered.json")
    made["what"] = (
        f"SHA-256 (12 digits) of what jinja2 {jinja2.__version__} with the settings of transformers"
        f" {transformers.__version__} writes for these chats; made by make.py."
    )
    made["rendered"] = {}
    for path in sorted(folder.glob("*/*.jinja")):
        source = path.read_text("utf8")
        hashes = {}
        for name, chat in made["chats"].items():
            text = chat_text(source, chat, made["specialTokens"])
            if text is not None:
                hashes[name] = hashlib.sha256(text.encode()).hexdigest()[:12]
        if hashes:
            made["rendered"][f"{path.parent.name}/{path.name}"] = hashes
    write("rendered.json", made)


def features():
    made = read("features.json")
    for case in made["cases"]:
        case.pop("expect", None)
        case.pop("refused", None)
        try:
            case["expect"] = _compile_jinja_template(case["template"]).render(**made["variables"])
        except Exception as error:
            case["refused"] = f"{type(error).__name__}: {error}"
    write("features.json", made)


features()
if len(sys.argv) > 1:
    real_templates(pathlib.Path(sys.argv[1]))
