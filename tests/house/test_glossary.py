"""One word for each idea: names that the glossary rules out are not used in the code."""

import ast
import re
from pathlib import Path

from tests.house.repository_files import DOCS, here, modules

RULED_OUT = re.compile(r"Manager$|Helper$|Impl$|^Abstract|^I[A-Z][a-z]+[A-Z]|DAO$")


def _class_names(path: Path) -> list[str]:
    return [node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)]


def test_no_class_is_named_after_a_pattern():
    """`UserStoreManager`, `AbstractGrant` and `IGrant` say less than `UserStore` and `Grant`."""
    named = [
        f"{here(path)}: {name}" for path in modules() for name in _class_names(path) if RULED_OUT.search(name)
    ]
    assert named == []


def test_acronyms_stay_capitals_in_class_names():
    """`LDAPUserStore`, not `LdapUserStore`."""
    lowered = re.compile(r"(?:Ldap|Http|Api|Jwt|Jwk|Url|Sql|Tls|Oidc|Saml|Json|Xml|Haproxy)(?=[A-Z]|s?$)")
    found = [
        f"{here(path)}: {name}" for path in modules() for name in _class_names(path) if lowered.search(name)
    ]
    assert found == []


def test_the_glossary_is_in_order():
    """A person looks words up: the rows are sorted."""
    rows = re.findall(r"^\| \*\*([^*]+)\*\*", (DOCS / "glossary.md").read_text(), re.MULTILINE)
    assert rows == sorted(rows, key=str.casefold)
    assert len(rows) > 20
