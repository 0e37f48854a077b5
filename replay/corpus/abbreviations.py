"""Words that code abbreviates and people do not: a task says maximum where the source has `max`.

General ones only, each in the form that the tokenizer gives (singular, lower case). A form counts like the word that
was asked, since it stands for it. Nothing is added here to make one task find its line.
"""

from __future__ import annotations

_GROUPS = """
acknowledge acknowledgement ack
address addr
application app
argument arg
asynchronous async
attribute attr
authentication auth
boolean bool
buffer buf
command cmd
configuration configure config conf cfg
connection conn
context ctx
database db
description desc
destination dest dst
directory dir
document documentation doc
environment env
exception exc
expression expr
function func fn
identifier id
information info
initial initialize init
integer int
length len
library lib
maximum max
memory mem
message msg
millisecond ms
minimum min
number num
parameter param
password passwd pwd
previous prev
process proc
reference ref
repository repo
request req
response resp
second sec
source src
string str
synchronous sync
temporary temp tmp
tls ssl
variable var
"""

_FORMS: dict[str, tuple[str, ...]] = {
    word: tuple(other for other in group if other != word)
    for group in map(str.split, _GROUPS.strip().splitlines())
    for word in group
}


def forms(token: str) -> tuple[str, ...]:
    """The other forms of a token; mostly none."""
    return _FORMS.get(token, ())
